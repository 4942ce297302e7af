"""Weightings against the ground truth's figures, the papers' formulas by hand and diffusers' `compute_snr`."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from diffloom.kinds import Conversion, NoiseSchedule, Weighting
from diffloom.process import (
    X0,
    CosineSchedule,
    EDMPrediction,
    EDMSchedule,
    Epsilon,
    FixedLarge,
    FixedSmall,
    FlowSchedule,
    LearnedRangeVariance,
    LearnedVariance,
    LinearSchedule,
    Posterior,
    PosteriorMeanPrediction,
    Process,
    TableSchedule,
    V,
    VPSchedule,
)
from diffloom_objectives import (
    BoundWeighting,
    EDMWeighting,
    LearnedLogVarianceWeighting,
    MinSNRWeighting,
    P2Weighting,
    SigmoidWeighting,
    SoftMinSNRWeighting,
    UniformWeighting,
)

LINEAR = LinearSchedule().build()
SNRS = (0.1, 5.0, 50.0)
BY_SNR = TableSchedule([snr / (1 + snr) for snr in reversed(SNRS)])
"""Its times 2, 1 and 0 have these SNRs."""


def weights(
    component: Weighting, schedule: NoiseSchedule, prediction: Conversion, times: list[float]
) -> list[float]:
    """What an error of 1 in the output weighs at each time."""
    process = Process(schedule=schedule, prediction=prediction, variance=FixedSmall())
    t_B = torch.tensor(times, dtype=torch.float64)
    weighted: Tensor = component.build()(torch.ones_like(t_B), t_B, process=process)
    return weighted.tolist()


@pytest.mark.parametrize(
    ("prediction", "figures"),
    [
        (Epsilon(), (1, 1, 0.1)),
        (X0(), (0.1, 5, 5)),
        (V(), (0.0909, 0.8333, 0.0980)),
    ],
    ids=["epsilon", "x0", "v"],
)
def test_min_snr_figures(prediction: Conversion, figures: tuple[float, ...]) -> None:
    """min-SNR-5 at SNR .1, 5, 50, as the ground truth prints it: four digits."""
    assert weights(MinSNRWeighting(), BY_SNR, prediction, [2, 1, 0]) == pytest.approx(figures, abs=5e-5)


def test_min_snr_is_that_of_diffusers_scripts() -> None:
    """min(SNR, γ)/SNR for ε, /(SNR + 1) for v, with its `compute_snr`, whose table is float32."""
    peer = DDPMScheduler()
    times = torch.tensor([0, 10, 250, 500, 999])
    snr = compute_snr(peer, times).double()
    table = TableSchedule(peer.alphas_cumprod)
    for prediction, base in ((Epsilon(), snr), (V(), snr + 1)):
        ours = weights(MinSNRWeighting(gamma=5.0), table, prediction, times.tolist())
        assert ours == pytest.approx(
            (snr.clamp(max=5) / base).tolist(), rel=3e-4
        )  # 1 − ᾱ of float32 at t = 0


@pytest.mark.parametrize("prediction", [Epsilon(), X0(), V()], ids=["epsilon", "x0", "v"])
def test_min_snr_where_no_signal_is_left(prediction: Conversion) -> None:
    """The limits of min(SNR, γ) over SNR, 1 and SNR + 1; diffusers' scripts divide 0 by 0 for ε."""
    pure = TableSchedule([0.5, 0.0])
    limit = 1.0 if isinstance(prediction, Epsilon) else 0.0
    assert weights(MinSNRWeighting(), pure, prediction, [1]) == pytest.approx([limit], abs=1e-15)


def test_p2_figures() -> None:
    """1/(k + SNR)^γ of ε at k = γ = 1, four digits of the ground truth; γ = 0 is ε unweighted, k and γ at will."""
    assert weights(P2Weighting(), BY_SNR, Epsilon(), [2, 1, 0]) == pytest.approx(
        (0.9091, 0.1667, 0.0196), abs=5e-5
    )
    assert weights(P2Weighting(gamma=0.0), BY_SNR, Epsilon(), [2, 1, 0]) == pytest.approx(
        (1, 1, 1), rel=1e-12
    )
    given = weights(P2Weighting(k=2.0, gamma=0.5), BY_SNR, Epsilon(), [2, 1, 0])
    assert given == pytest.approx([(2 + snr) ** -0.5 for snr in SNRS], rel=1e-12)


@pytest.mark.parametrize(("sigma", "figure"), [(0.5, 8), (1, 5), (80, 4.0001563), (0.002, 250004)])
def test_edm_figures(sigma: float, figure: float) -> None:
    """λ(σ) at σ_data = ½ for x₀, as the ground truth prints it; 1 for the network of EDM's own preconditioning."""
    schedule = EDMSchedule().build()
    time = math.log(sigma) / 4
    assert weights(EDMWeighting(), schedule, X0(), [time]) == pytest.approx([figure], rel=1e-7)
    network = EDMPrediction(sigma_data=0.5).build(schedule=schedule)
    assert weights(EDMWeighting(), schedule, network, [time]) == pytest.approx([1], rel=1e-10)


def test_edm_weighs_levels_by_their_ratio() -> None:
    """sigma/alpha, whatever the schedule: (σ² + σ_d²)/(σ·σ_d)²."""
    sigma = math.sqrt(1 / 5)
    expected = (sigma**2 + 0.3**2) / (sigma * 0.3) ** 2
    assert weights(EDMWeighting(sigma_data=0.3), BY_SNR, X0(), [1]) == pytest.approx([expected], rel=1e-12)


def test_soft_min_snr() -> None:
    """1/(σ² + 1/γ) as the paper writes it, and k-diffusion's (σσ_d)²/(σ² + σ_d²)² of EDM's network at γ = 1/σ_d²."""
    for sigma in (0.02, 0.5, 10.0):
        schedule, time = EDMSchedule().build(), math.log(sigma) / 4
        (ours,) = weights(SoftMinSNRWeighting(gamma=4.0), schedule, X0(), [time])
        assert ours == pytest.approx(1 / (sigma**2 + 1 / 4), rel=1e-9)
        network = EDMPrediction(sigma_data=0.5).build(schedule=schedule)
        (theirs,) = weights(SoftMinSNRWeighting(gamma=4.0), schedule, network, [time])
        assert theirs == pytest.approx((sigma * 0.5) ** 2 / (sigma**2 + 0.5**2) ** 2, rel=1e-9)


def test_uniform_leaves_every_error_as_it_is() -> None:
    assert weights(UniformWeighting(), LINEAR, V(), [0, 500, 999]) == [1, 1, 1]
    assert UniformWeighting().of_output


@pytest.mark.parametrize("bias", [-1.0, 0.0, 2.0])
def test_sigmoid_is_a_function_of_log_snr_alone(bias: float) -> None:
    """The mean over the axis of w_ε·f(λ) is ½∫ sigmoid(b − λ)·f(λ) dλ on every schedule (Kingma & Gao 2023).

    f is a bump around λ = 1; midpoint rules of 4000 points on both sides, and the counted schedule's steps of λ.
    """

    def bump(log_snr: Tensor) -> Tensor:
        return (-((log_snr - 1) ** 2)).exp()

    grid = torch.linspace(-9, 11, 4001, dtype=torch.float64)
    expected = (0.5 * (bias - grid).sigmoid() * bump(grid)).sum().item() * 20 / 4000
    for schedule, within in (
        (VPSchedule().build(), 1e-4),
        (FlowSchedule(shift=3.0).build(), 1e-4),
        (LINEAR, 2e-2),
    ):
        axis = schedule.axis
        shares = [(number + 0.5) / 4000 for number in range(4000)]
        times = (
            [axis.whole(n) for n in range(axis.count)] if axis.count else [axis.at(share) for share in shares]
        )
        found = torch.tensor(
            weights(SigmoidWeighting(bias=bias), schedule, Epsilon(), times), dtype=torch.float64
        )
        shown = bump(schedule.log_snr(torch.tensor(times, dtype=torch.float64)))
        assert float((found * shown).mean()) == pytest.approx(expected, rel=within)


@pytest.mark.parametrize("large", [False, True], ids=["fixed_small", "fixed_large"])
@pytest.mark.parametrize("schedule", [LINEAR, CosineSchedule().build()], ids=["linear", "cosine"])
def test_the_bound_s_own_weights(*, schedule: TableSchedule, large: bool) -> None:
    """Ho et al. 2020: eq. 12's β²/(2σ²·α·(1 − ᾱ)) for ε, eq. 8's 1/(2σ²) for the posterior's mean, and x₀'s between."""
    bars = schedule.alpha_bar.tolist()
    variance = FixedLarge() if large else FixedSmall()
    first = (1 - bars[0]) / (1 - bars[1]) * (1 - bars[1] / bars[0])  # β̃₂ stands for the first step's
    for t in (0, 1, 2, 300, 998):
        bar, before = bars[t], bars[t - 1] if t else 1.0
        beta = 1 - bar / before
        step_variance = first if t == 0 else beta if large else beta * (1 - before) / (1 - bar)
        eps = beta**2 / (2 * step_variance * (1 - beta) * (1 - bar))
        of_x0 = before * beta**2 / (1 - bar) ** 2 / (2 * step_variance)
        table: list[tuple[Conversion, float]] = [(Epsilon(), eps), (X0(), of_x0)]
        if t:  # the mean of the last step is x₀ itself
            mean = PosteriorMeanPrediction().build(schedule=schedule)
            table.append((mean, 1 / (2 * step_variance)))
        for prediction, expected in table:
            process = Process(schedule=schedule, prediction=prediction, variance=variance)
            t_B = torch.tensor([t], dtype=torch.float64)
            found = BoundWeighting().build()(torch.ones(1, dtype=torch.float64), t_B, process=process)
            assert float(found) == pytest.approx(expected, rel=1e-8)  # the paper's 1 − ᾱ_t/ᾱ_s cancels


def test_the_bound_of_continuous_time() -> None:
    """−½ dSNR/du by hand on the straight flow, whose SNR is ((1 − t)/t)²; u runs from its first time to 1."""
    schedule = FlowSchedule().build()
    first = schedule.axis.first
    for t in (0.05, 0.5, 0.9):
        (found,) = weights(BoundWeighting(), schedule, X0(), [t])
        assert found == pytest.approx((1 - t) / t**3 * (1 - first), rel=1e-6)


def test_the_bound_s_weights_are_the_snr_that_is_gained() -> None:
    """With fixed_small, ½·(SNR(s) − SNR(t)) for x₀ (Kingma et al. 2021, eq. 14)."""
    t = [1, 10, 500, 999]
    snr = LINEAR.alpha_bar / (1 - LINEAR.alpha_bar)
    expected = [float(snr[i - 1] - snr[i]) / 2 for i in t]
    assert weights(BoundWeighting(), LINEAR, X0(), [float(i) for i in t]) == pytest.approx(expected, rel=1e-9)
    assert Posterior.between(*LINEAR.levels([10, 9])[:2]).variance > 0


@pytest.mark.parametrize("inner", [UniformWeighting(), EDMWeighting()])
def test_a_learned_log_variance_comes_to_weigh_all_levels_alike(inner: Weighting) -> None:
    """At u = log E[error] every level costs 1 + u: gradient descent on known errors finds it, to a few percent."""
    torch.manual_seed(0)
    component = LearnedLogVarianceWeighting(weighting=inner, features=32)
    weigh = component.build()
    process = Process(schedule=VPSchedule().build(), prediction=X0(), variance=FixedSmall())
    t_B = torch.linspace(0.1, 1, 64, dtype=torch.float64)
    error_B = 0.01 + t_B**2
    weighted_B = inner.build()(error_B, t_B, process=process)
    assert torch.equal(weigh(error_B, t_B, process=process), weighted_B)  # u begins at 0
    descent = torch.optim.LBFGS(weigh.parameters(), max_iter=100)

    def cost() -> Tensor:
        descent.zero_grad()
        loss: Tensor = weigh(error_B, t_B, process=process).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    descent.step(cost)  # type: ignore[no-untyped-call]
    u_B = weigh.log_variance(process.schedule.log_snr(t_B)).double()
    torch.testing.assert_close(u_B.detach(), weighted_B.log(), rtol=0, atol=0.05)
    assert component.of_output is inner.of_output


def test_the_bound_s_weights_need_a_fixed_variance() -> None:
    for variance in (LearnedVariance(), LearnedRangeVariance()):
        with pytest.raises(ValueError, match="is learned; take weighting: uniform"):
            LearnedLogVarianceWeighting(weighting=BoundWeighting()).check(variance=variance)

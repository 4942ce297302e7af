"""The bound and the hybrid beside improved-diffusion's `GaussianDiffusion`, its formulas written out by hand, and
Kingma et al.'s continuous time.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from diffloom.kinds import ReverseVariance
from diffloom.process import (
    Draws,
    Epsilon,
    FixedLarge,
    FixedSmall,
    FlowSchedule,
    Learned,
    LearnedRange,
    LearnedSchedule,
    LinearSchedule,
    Process,
    V,
    VPSchedule,
)
from diffloom_objectives import (
    HybridObjective,
    LogitNormalTiming,
    MinSNRWeighting,
    SecondMomentTiming,
    SimpleObjective,
    StratifiedTiming,
    VariationalBoundObjective,
)

STEPS, ROWS, SHAPE = 6, 24, (2, 3, 3)
BETAS = np.asarray(LinearSchedule(steps=STEPS, beta_start=0.02, beta_end=0.4).betas())
SCHEDULE = LinearSchedule(steps=STEPS, beta_start=0.02, beta_end=0.4).build()
DRAWS = Draws.of(5, range(ROWS))
X0 = (
    (torch.rand(ROWS, *SHAPE, generator=torch.Generator().manual_seed(1)) * 256).floor() / 127.5 - 1
).double()
VARIANCES: dict[str, ReverseVariance] = {
    "fixed_small": FixedSmall(),
    "fixed_large": FixedLarge(),
    "learned": Learned(),
    "learned_range": LearnedRange(),
}


def network(x_t: Tensor, t_B: Tensor) -> Tensor:
    """ε, not a good one."""
    return torch.tanh(x_t.roll(1, 1)) + t_B.double().view(-1, 1, 1, 1) / 10


def two_halves(x_t: Tensor, t_B: Tensor) -> Tensor:
    """ε and a variance output, within ±1."""
    return torch.cat([network(x_t, t_B), torch.sin(3 * x_t)], 1)


class GaussianDiffusion:
    """The tables and the formulas of improved-diffusion, in float64 numpy; its Φ is exact here, not a tanh."""

    def __init__(self) -> None:
        alphas = 1 - BETAS
        self.bar = np.cumprod(alphas)
        before = np.append(1.0, self.bar[:-1])
        self.variance = BETAS * (1 - before) / (1 - self.bar)
        self.log_small = np.log(np.append(self.variance[1], self.variance[1:]))
        self.log_large = np.log(np.append(self.variance[1], BETAS[1:]))
        self.of_x0 = BETAS * np.sqrt(before) / (1 - self.bar)
        self.of_x_t = (1 - before) * np.sqrt(alphas) / (1 - self.bar)

    def vb_term(
        self, x0: np.ndarray, x_t: np.ndarray, t: int, eps: np.ndarray, log_variance: np.ndarray
    ) -> float:
        """`_vb_terms_bpd` of one example."""
        predicted = (x_t - np.sqrt(1 - self.bar[t]) * eps) / np.sqrt(self.bar[t])
        true_mean = self.of_x0[t] * x0 + self.of_x_t[t] * x_t
        mean = self.of_x0[t] * predicted + self.of_x_t[t] * x_t
        if t == 0:
            return float(self.decoder(x0, mean, log_variance).mean() / np.log(2))
        off = log_variance - self.log_small[t]
        kl = 0.5 * (off - 1 + np.exp(-off) + (true_mean - mean) ** 2 * np.exp(-log_variance))
        return float(kl.mean() / np.log(2))

    def decoder(self, x0: np.ndarray, mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
        """`discretized_gaussian_log_likelihood`, negative."""

        def cdf(value: np.ndarray) -> np.ndarray:
            return 0.5 * (1 + np.vectorize(math.erf)(value / math.sqrt(2)))

        precision = np.exp(-0.5 * log_variance)
        upper, lower = cdf((x0 - mean + 1 / 255) * precision), cdf((x0 - mean - 1 / 255) * precision)
        mass = np.where(x0 < -0.999, upper, np.where(x0 > 0.999, 1 - lower, upper - lower))
        return -np.log(np.maximum(mass, 1e-300))

    def log_variance(self, name: str, t: int, raw: np.ndarray) -> np.ndarray:
        """`p_mean_variance`'s."""
        if name == "learned":
            return raw
        small, large = self.log_small[t], np.log(BETAS[t])
        share = {"fixed_small": np.zeros_like(raw), "learned_range": (raw + 1) / 2}.get(name)
        return np.full_like(raw, self.log_large[t]) if share is None else share * large + (1 - share) * small

    def prior(self, x0: np.ndarray) -> np.ndarray:
        """`_prior_bpd`."""
        mean, log_variance = math.sqrt(self.bar[-1]) * x0, math.log(1 - self.bar[-1])
        kl = 0.5 * (-1 - log_variance + math.exp(log_variance) + mean**2)
        return kl.reshape(len(x0), -1).mean(1) / math.log(2)


def by_hand(variance: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The terms that the peer gives for the same times and noise, the errors of ε, and the prior's terms."""
    peer = GaussianDiffusion()
    times = (DRAWS.uniform("time") * STEPS).long().tolist()
    noise, x0 = DRAWS.normal("noise", SHAPE, dtype=torch.float64).numpy(), X0.numpy()
    terms, errors = [], []
    for row, t in enumerate(times):
        x_t = np.sqrt(peer.bar[t]) * x0[row] + np.sqrt(1 - peer.bar[t]) * noise[row]
        output = two_halves(torch.from_numpy(x_t)[None], torch.tensor([t]))[0].numpy()
        eps, raw = output[:2], output[2:]
        terms.append(peer.vb_term(x0[row], x_t, t, eps, peer.log_variance(variance, t, raw)))
        errors.append(((eps - noise[row]) ** 2).mean())
    assert set(times) == set(range(STEPS))  # the decoder's term and every other
    return np.array(terms), np.array(errors), peer.prior(x0)


def process(variance: str) -> Process:
    return Process(schedule=SCHEDULE, prediction=Epsilon(), variance=VARIANCES[variance])


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_bound_is_improved_diffusion_s_rescaled_kl(variance: str) -> None:
    """`training_losses` with RESCALED_KL, T·_vb_terms_bpd, and `_prior_bpd`, which it leaves to the evaluation."""
    asked = two_halves if variance.startswith("learned") else network
    found = VariationalBoundObjective().build()(asked, X0, process=process(variance), draws=DRAWS)
    terms, _, prior = by_hand(variance)
    # the peer's β̃ and bins are differences of near-equal numbers
    torch.testing.assert_close(found, torch.from_numpy(STEPS * terms + prior), rtol=1e-9, atol=0)


@pytest.mark.parametrize("variance", ["learned", "learned_range"])
def test_the_hybrid_is_improved_diffusion_s_rescaled_mse(variance: str) -> None:
    """`training_losses` with RESCALED_MSE and a learned variance: mse + _vb_terms_bpd·T/1000, which is λ·T of it."""
    found = HybridObjective().build()(two_halves, X0, process=process(variance), draws=DRAWS)
    terms, errors, _ = by_hand(variance)
    torch.testing.assert_close(found, torch.from_numpy(errors + terms * STEPS / 1000), rtol=1e-9, atol=0)


def test_the_hybrid_s_bound_does_not_move_the_mean() -> None:
    """Nichol & Dhariwal 2021, section 3.1: the prediction has L_simple's gradient alone, the variance the bound's."""
    prediction, raw = (torch.zeros(ROWS, *SHAPE, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def both(x_t: Tensor, t_B: Tensor) -> Tensor:
        return torch.cat([network(x_t, t_B) + prediction, torch.sin(x_t) + raw], 1)

    def one(x_t: Tensor, t_B: Tensor) -> Tensor:
        return network(x_t, t_B) + prediction

    def gradient(loss: Tensor, of: Tensor) -> Tensor:
        return torch.autograd.grad(loss.sum(), of)[0]

    weighting = MinSNRWeighting()
    hybrid = HybridObjective(weighting=weighting, bound_weight=0.5).build()
    simple = SimpleObjective(weighting=weighting).build()(
        one, X0, process=process("fixed_small"), draws=DRAWS
    )
    bound = VariationalBoundObjective().build()(both, X0, process=process("learned_range"), draws=DRAWS)
    loss = hybrid(both, X0, process=process("learned_range"), draws=DRAWS)
    expected = gradient(bound, raw)
    torch.testing.assert_close(gradient(loss, raw), 0.5 * expected, rtol=1e-12, atol=0)
    loss = hybrid(both, X0, process=process("learned_range"), draws=DRAWS)
    torch.testing.assert_close(gradient(loss, prediction), gradient(simple, prediction), rtol=1e-12, atol=0)
    assert bool((expected != 0).all())


@pytest.mark.parametrize(
    "timing", [StratifiedTiming(strata=STEPS), SecondMomentTiming(parts=STEPS, history=2, uniform_share=0.2)]
)
def test_other_timings_estimate_the_same_bound(timing: StratifiedTiming | SecondMomentTiming) -> None:
    """The mean of 3000 estimates of one picture, within 5 standard errors of the sum of all terms, averaged over noise
    with uniform times; the resampler has heard losses before."""
    rows, shown = 3000, process("fixed_small")
    x0 = X0[:1].expand(rows, *SHAPE)
    loss = VariationalBoundObjective(timing=timing).build()
    for step in range(12):
        draws = Draws.of(9, range(step * ROWS, (step + 1) * ROWS))
        loss.observe(
            draws,
            loss(network, X0, process=shown, draws=draws),
            process=shown,
        )
    found = loss(network, x0, process=shown, draws=Draws.of(7, range(rows)))
    even = VariationalBoundObjective().build()(network, x0, process=shown, draws=Draws.of(8, range(rows)))
    error = math.sqrt(float(found.var() + even.var()) / rows)
    assert abs(float(found.mean() - even.mean())) < 5 * error


def test_a_resampler_hears_the_losses_without_its_own_factors() -> None:
    timing = SecondMomentTiming(parts=STEPS, history=2, uniform_share=0.2)
    loss = SimpleObjective(timing=timing).build()
    for step in range(8):
        draws = Draws.of(9, range(step * ROWS, (step + 1) * ROWS))
        t_B, factor_B = loss.noising.times(draws, schedule=SCHEDULE)
        given = factor_B * (1 + t_B)  # a loss of 1 + t at every time t
        loss.observe(draws, given, process=process("fixed_small"))
    assert bool((factor_B != 1).any())
    expected = (1 + torch.arange(STEPS, dtype=torch.float64)).view(-1, 1).expand(-1, 2)
    torch.testing.assert_close(loss.noising.times.losses_PN, expected, rtol=1e-12, atol=0)


def test_continuous_time() -> None:
    """Kingma et al. 2021, eq. 17, on the straight flow by hand: λ = 2·log((1 − t)/t), so −dλ/dt = 2/(t·(1 − t))."""
    schedule = FlowSchedule(first=0.02).build()
    shown = Process(schedule=schedule, prediction=Epsilon(), variance=FixedSmall())
    found = VariationalBoundObjective().build()(network, X0, process=shown, draws=DRAWS)
    t = (0.02 + 0.98 * DRAWS.uniform("time")).view(-1, 1, 1, 1)
    eps = DRAWS.normal("noise", SHAPE, dtype=torch.float64)
    error = (network((1 - t) * X0 + t * eps, t.flatten().float()) - eps).square().mean((1, 2, 3))
    diffusion = 0.5 * 0.98 * 2 / (t * (1 - t)).flatten() * error / math.log(2)
    ratio = 0.02 / 0.98
    around = (X0 + ratio * DRAWS.normal("decoder's noise", SHAPE, dtype=torch.float64)).numpy()
    decoded = GaussianDiffusion().decoder(X0.numpy(), around, np.full_like(around, 2 * math.log(ratio)))
    reconstruction = torch.from_numpy(decoded).mean((1, 2, 3)) / math.log(2)
    # no prior's term: at t = 1 nothing is left of x₀. 1e-5: t is shown in float32, and a bin's mass by erf
    torch.testing.assert_close(found, diffusion + reconstruction, rtol=1e-5, atol=0)


def test_continuous_time_is_the_limit_of_many_steps() -> None:
    """For the exact denoiser of N(0, s²), whose error is s²·σ²/(α²s² + σ²): ½∫ mmse dSNR = ½·log of the SNRs' ratio.

    10,000 estimates of the diffusion term alone, within 5 standard errors of the closed form.
    """
    s, rows = 0.5, 10_000
    schedule = VPSchedule(first=0.01).build()
    x0 = s * Draws.of(1, range(rows)).normal("data", (1, 1, 1), dtype=torch.float64)

    def exact(x_t: Tensor, t_B: Tensor) -> Tensor:
        alpha, sigma = (f(t_B.double()).view(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma))
        return sigma * x_t / (alpha**2 * s**2 + sigma**2)

    shown = Process(schedule=schedule, prediction=Epsilon(), variance=FixedSmall())
    loss = VariationalBoundObjective(bins=None).build()
    draws = Draws.of(2, range(rows))
    found = loss(exact, x0, process=shown, draws=draws)

    def knowing(x_t: Tensor, t_B: Tensor) -> Tensor:
        alpha, sigma = (f(t_B.double()).view(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma))
        return (x_t - alpha * x0) / sigma

    diffusion = found - loss(
        knowing, x0, process=shown, draws=draws
    )  # the other terms do not depend on the network
    first, last = schedule.log_snr(torch.tensor([0.01, 1.0], dtype=torch.float64)).exp().tolist()
    expected = 0.5 * math.log((1 + s**2 * first) / (1 + s**2 * last)) / math.log(2)
    assert abs(float(diffusion.mean()) - expected) < 5 * float(diffusion.std()) / math.sqrt(rows)


def test_gradients_reach_a_learned_schedule() -> None:
    """Every weight of it; and the sum over examples agrees with a difference quotient in a weight of its end."""
    torch.manual_seed(0)
    schedule = LearnedSchedule().build().double()  # for the quotient: float32 weights move in steps of 1e-6
    shown = Process(schedule=schedule, prediction=V(), variance=FixedSmall())
    loss = VariationalBoundObjective().build()

    def cost() -> Tensor:
        total: Tensor = loss(network, X0, process=shown, draws=DRAWS).sum()
        return total

    cost().backward()  # type: ignore[no-untyped-call]
    named = dict(schedule.named_parameters())
    assert [
        name for name, weight in named.items() if weight.grad is None or not weight.grad.isfinite().all()
    ] == []
    name, weight = max(named.items(), key=lambda item: float(item[1].grad.abs().max()))
    place = int(weight.grad.abs().flatten().argmax())
    slope, step, costs = float(weight.grad.flatten()[place]), 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            weight.view(-1)[place] += sign * step
            costs.append(float(cost()))
            weight.view(-1)[place] -= sign * step
    assert (costs[0] - costs[1]) / (2 * step) == pytest.approx(slope, rel=1e-3), name


def test_uneven_times_make_no_bound() -> None:
    with pytest.raises(ValueError, match=r"logit_normal draws some times more often.*take timing: uniform"):
        VariationalBoundObjective(timing=LogitNormalTiming())

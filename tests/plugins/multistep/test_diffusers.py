"""Whole trajectories against diffusers' LMS, DEIS, DPM-Solver++ and UniPC schedulers, on their own grids.

In float64 (their own classes, with float64 in float32's place) every step agrees to 1e-10; in float32, their classes
untouched, to 1e-5. The noise levels are read off the peer. Where the peer errs, it is driven around or pinned:

* DPMSolverMultistepScheduler of order 3 lets the parabola's square term count half, as its authors' code does:
  `published` is that formula, and ours by default adds the missing half.
* DEISMultistepScheduler ends Karras and exponential grids with a step from the last sigma to itself: never clean.
* UniPCMultistepScheduler gives NaN at the clean level with `bh1`, and without `lower_order_final`. Ours takes the
  first-order step there.
* DEISMultistepScheduler takes differences of float32 logarithms, up to 4e-5 off: here, of float64 ones.
* First times that are equal once rounded make them skip a sigma: `set_begin_index(0)` prevents it.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import (
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    LMSDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Walk
from diffloom.process import CLEAN, X0, Denoised, Epsilon, Level, Step, V, denoiser
from diffloom.testing.course import walked
from diffloom_multistep import DEIS, LMS, DPMpp2M, DPMpp3M, UniPC

# numpy 2 says so of every tensor that diffusers hands to it
pytestmark = pytest.mark.filterwarnings("ignore:.*__array:DeprecationWarning")

PREDICTIONS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
SHAPE = (2, 3, 4, 5)
EXACT, SINGLE = 1e-10, 1e-5
PUBLISHED = DPMpp3M(solver_type="published")


doubled = pytest.mark.usefixtures("in_float64")


def network(x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
    """A fixed nonlinear function of x and t that mixes channels and pixels and is not odd in x."""
    mixed = 0.8 * x - 0.4 * x.roll(1, 1) + 0.3 * x.roll(2, 3)
    return torch.tanh(mixed + 0.2) + 0.5 * torch.sin(t / 170).to(x.dtype).view(-1, 1, 1, 1)


def shown(t: float) -> Tensor:
    """The time as the network sees it, in float32."""
    return torch.full(SHAPE[:1], t, dtype=torch.float32)


def level_of(sigma: float, t: float, *, flow: bool = False) -> Level:
    """The level that the peer means."""
    if sigma == 0:
        return CLEAN
    alpha = 1 - sigma if flow else 1 / math.sqrt(sigma**2 + 1)
    return Level(t, alpha, sigma if flow else sigma * alpha)


def denoise_flow(x: Tensor, level: Level) -> Denoised:
    """The network's output as a velocity ε − x₀ of the straight path."""
    velocity = network(x, shown(level.t))
    return Denoised(x0_BCHW=x - level.sigma * velocity, eps_BCHW=x + level.alpha * velocity)


def problem(peer: Any) -> tuple[list[Level], Any]:
    """The peer's noise levels, without a last one that is where it already was, and the denoiser it has in mind."""
    kind, sigmas = peer.config.prediction_type, [float(sigma) for sigma in peer.sigmas]
    flow = kind == "flow_prediction"
    levels = [level_of(s, t, flow=flow) for s, t in zip(sigmas, [*peer.timesteps.tolist(), 0.0], strict=True)]
    if sigmas[-1] == sigmas[-2]:
        levels = levels[:-1]
    if flow:
        return levels, denoise_flow
    convert = denoiser(network, PREDICTIONS[kind])
    return levels, lambda x, level: convert(x, level, Condition())


def error(
    walk: Walk,
    peer: Any,
    steps: int,
    *,
    dtype: torch.dtype = torch.float64,
    last: bool = True,
    missing: Any = None,
    **options: Any,
) -> float:
    """The largest relative difference of any step's end, the last too if `last`; `missing` is added to the peer's."""
    peer.set_timesteps(steps)
    peer.set_begin_index(0)
    levels, denoise = problem(peer)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(steps), dtype=dtype)
    ours = walked(walk, x, levels, denoise)
    exploding = isinstance(peer, LMSDiscreteScheduler)  # it has x/alpha for x
    theirs = x / levels[0].alpha if exploding else x
    differences = []
    for step, t in zip(ours if last else ours[:-1], peer.timesteps, strict=False):
        output = network(peer.scale_model_input(theirs, t), shown(float(t)))
        theirs = peer.step(output, t, theirs, **options).prev_sample
        if missing is not None:
            theirs = theirs + missing(peer, step)
        assert theirs.dtype == step.following_BCHW.dtype == dtype
        mine = step.following_BCHW / (step.next_level.alpha if exploding else 1)
        differences.append((mine - theirs).abs().max() / theirs.abs().max())
    return float(torch.stack(differences).max())  # NaN, if there is one


SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
GRIDS: dict[str, dict[str, Any]] = {
    "leading": {"timestep_spacing": "leading", "steps_offset": 1},
    "trailing": {"timestep_spacing": "trailing"},
    "linspace": {"timestep_spacing": "linspace"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
}
by_grid = pytest.mark.parametrize("grid", GRIDS)
by_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
by_steps = pytest.mark.parametrize("steps", [8, 20])  # fewer than 15, where lower_order_final shows, and more


@by_grid
@by_prediction
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@doubled
def test_lms(grid: str, prediction: str, order: int) -> None:
    peer = LMSDiscreteScheduler(**SCALED, **GRIDS[grid], prediction_type=prediction)
    assert error(LMS(order=order), peer, 13, order=order) < EXACT


@by_grid
@by_prediction
@by_steps
@pytest.mark.parametrize(
    ("order", "solver_type"), [(1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint")]
)
@doubled
def test_dpmpp(*, grid: str, prediction: str, steps: int, order: int, solver_type: str) -> None:
    peer = DPMSolverMultistepScheduler(
        **GRIDS[grid], prediction_type=prediction, solver_order=order, solver_type=solver_type
    )
    walks = {1: DEIS(order=1), 2: DPMpp2M(solver_type=solver_type), 3: PUBLISHED}  # of order 1 all are one
    assert error(walks[order], peer, steps) < EXACT


@by_steps
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("grid", ["leading", "trailing", "linspace"])
@doubled
def test_ends_at_the_first_time(grid: str, steps: int, lower: bool) -> None:
    """`final_sigmas_type="sigma_min"`: the walk ends at time 0, where nothing forces a lower order."""
    options = {
        **GRIDS[grid],
        "steps_offset": 0,
        "final_sigmas_type": "sigma_min",
        "lower_order_final": lower,
    }
    for order, walk in (
        (2, DPMpp2M(lower_order_final=lower)),
        (3, DPMpp3M(solver_type="published", lower_order_final=lower)),
    ):
        assert error(walk, DPMSolverMultistepScheduler(**options, solver_order=order), steps) < EXACT
    for order in (1, 2, 3):
        peer = UniPCMultistepScheduler(**options, solver_order=order)
        assert error(UniPC(order=order, lower_order_final=lower), peer, steps) < EXACT


@by_grid
@by_prediction
@by_steps
@pytest.mark.parametrize("order", [1, 2, 3])
@doubled
def test_deis(grid: str, prediction: str, steps: int, order: int) -> None:
    peer = DEISMultistepScheduler(**GRIDS[grid], prediction_type=prediction, solver_order=order)
    stays = grid in ("karras", "exponential")
    if stays and steps < 15:
        peer.register_to_config(lower_order_final=False)  # it counts the step that leads nowhere
    walk = DEIS(order=order, lower_order_final=not stays)
    assert error(walk, peer, steps) < EXACT


@by_grid
@by_prediction
@by_steps
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("solver_type", ["bh1", "bh2"])
@doubled
def test_unipc(*, grid: str, prediction: str, steps: int, order: int, solver_type: str) -> None:
    peer = UniPCMultistepScheduler(
        **GRIDS[grid], prediction_type=prediction, solver_order=order, solver_type=solver_type
    )
    walk = UniPC(order=order, solver_type=solver_type)
    assert error(walk, peer, steps, last=solver_type == "bh2") < EXACT


@by_steps
@doubled
def test_flows(steps: int) -> None:
    """Straight paths, alpha = 1 − sigma, with a shift of 3 as Stable Diffusion 3 has it."""
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
    assert error(DPMpp2M(), DPMSolverMultistepScheduler(**flow, solver_order=2), steps) < EXACT
    assert error(PUBLISHED, DPMSolverMultistepScheduler(**flow, solver_order=3), steps) < EXACT
    assert error(UniPC(order=3), UniPCMultistepScheduler(**flow, solver_order=3), steps) < EXACT
    deis = DEISMultistepScheduler(**flow, solver_order=3, lower_order_final=False)
    assert error(DEIS(lower_order_final=False), deis, steps) < EXACT


class ExactDEIS(DEISMultistepScheduler):
    """With the float32 sigmas in float64, so that its coefficients are right."""

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        self.sigmas = self.sigmas.double()


@pytest.mark.parametrize("grid", ["leading", "karras"])
@by_prediction
def test_untouched_classes_in_float32(grid: str, prediction: str) -> None:
    common = {**SCALED, **GRIDS[grid], "prediction_type": prediction}
    single = {"dtype": torch.float32}
    assert error(LMS(), LMSDiscreteScheduler(**common), 20, **single) < SINGLE
    for order, walk in ((2, DPMpp2M()), (3, PUBLISHED)):
        peer = DPMSolverMultistepScheduler(**common, solver_order=order)
        assert error(walk, peer, 20, **single) < SINGLE
    assert error(DEIS(), ExactDEIS(**common, solver_order=3), 20, **single) < SINGLE
    unipc = UniPCMultistepScheduler(**common, solver_order=3)
    assert error(UniPC(order=3), unipc, 20, **single) < SINGLE


def test_deis_rounds_its_coefficients_in_float32() -> None:
    peer = DEISMultistepScheduler(
        **SCALED, **GRIDS["leading"], prediction_type="v_prediction", solver_order=3
    )
    assert 2e-5 < error(DEIS(), peer, 20, dtype=torch.float32) < 1e-4


def half_of_the_square(peer: Any, step: Step) -> Tensor | float:
    """What a third-order step of the peer lacks of alpha_s·∫ e^(λ − λ_s)·f[0,1,2]·(λ − λ₀)² dλ."""
    if step.index < 2 or step.next_level.is_clean:
        return 0.0
    m0, m1, m2 = reversed(peer.model_outputs)
    l0, l1, l2 = (-math.log(peer.sigmas[step.index - back]) for back in range(3))
    bend = ((m0 - m1) / (l0 - l1) - (m1 - m2) / (l1 - l2)) / (l0 - l2)
    h = step.next_level.half_log_snr - step.level.half_log_snr
    whole = h * h - 2 * h - 2 * math.expm1(-h)  # ∫₀ʰ e^(s − h)·s² ds
    return step.next_level.alpha * whole / 2 * bend


class BegunAs2M(DPMpp3M):
    """Exact in its parabolas, and as published in its first line."""

    def correction(self, known: list[float], following: Level) -> tuple[float, ...]:
        walk = DPMpp2M() if len(known) == 2 else DPMpp3M()
        return walk.correction(known, following)


@by_prediction
@doubled
def test_the_third_order_of_dpmsolver_lacks_half_a_term(prediction: str) -> None:
    """Added by hand to each of its steps, the peer's trajectory is ours."""
    peer = DPMSolverMultistepScheduler(**GRIDS["trailing"], solver_order=3, prediction_type=prediction)
    assert error(BegunAs2M(), peer, 20) > 1e-4
    assert error(BegunAs2M(), peer, 20, missing=half_of_the_square) < EXACT


@doubled
def test_where_the_peer_is_wrong() -> None:
    """The differences named above are real."""
    deis = DEISMultistepScheduler(**GRIDS["karras"])
    deis.set_timesteps(10)
    assert deis.sigmas[-1] == deis.sigmas[-2] > 0
    assert math.isnan(error(UniPC(solver_type="bh1"), UniPCMultistepScheduler(solver_type="bh1"), 20))
    unipc = UniPCMultistepScheduler(lower_order_final=False)
    assert math.isnan(error(UniPC(lower_order_final=False), unipc, 20))
    assert error(UniPC(lower_order_final=False), unipc, 20, last=False) < EXACT

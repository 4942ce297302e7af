"""Whole trajectories against diffusers' schedulers that walk x/alpha over sigma/alpha, fed the same noise.

In float64 (their own classes, with float64 in float32's place) every step agrees to 1e-11, in float32, their classes
untouched, to 1e-5. Grids are the peer's: time spacings are tested where spacings are. What differs:

* EulerDiscreteScheduler's churn adds its noise after the network was asked, at a level it was not asked at, and its
  v-prediction is converted at the lower one. Karras et al.'s algorithm 2 asks at the raised level: it is driven to.
* HeunDiscreteScheduler and KDPM2DiscreteScheduler have no churn; k-diffusion's formulas are the oracle of ours.
* The KDPM2 schedulers round a Karras grid's times, and none takes x0 predictions; EulerAncestral takes none either.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import (
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
)
from diffusers.schedulers import (
    scheduling_euler_ancestral_discrete,
    scheduling_euler_discrete,
    scheduling_k_dpm_2_ancestral_discrete,
)
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Walk
from diffloom.process import CLEAN, X0, Denoised, Epsilon, Level, V, denoiser
from diffloom.testing.closed_forms import preserving_at
from diffloom.testing.course import GivenNoise, walked
from diffloom_samplers import Ancestry, Churn, DPMSolver2S, Euler, Heun

DRAWING = (scheduling_euler_ancestral_discrete, scheduling_k_dpm_2_ancestral_discrete)
"""Where noise is drawn."""
PREDICTIONS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
WALKS: dict[str, tuple[type, Walk]] = {
    "euler": (EulerDiscreteScheduler, Euler()),
    "heun": (HeunDiscreteScheduler, Heun()),
    "dpm2": (KDPM2DiscreteScheduler, DPMSolver2S()),
    "euler_ancestral": (EulerAncestralDiscreteScheduler, Euler(ancestry=Ancestry(eta=1.0))),
    "dpm2_ancestral": (KDPM2AncestralDiscreteScheduler, DPMSolver2S(ancestry=Ancestry(eta=1.0))),
}
SPACINGS: dict[str, dict[str, Any]] = {
    "leading": {"timestep_spacing": "leading", "steps_offset": 1},
    "trailing": {"timestep_spacing": "trailing"},
    "linspace": {"timestep_spacing": "linspace"},
}
RESHAPED: dict[str, dict[str, Any]] = {
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}
STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SHAPE = (2, 3, 4, 5)
PEERS: dict[tuple[Any, ...], Any] = {}
# numpy's word to its callers about arrays made of tensors
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def network(x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
    """A fixed nonlinear function of x and t that mixes channels and pixels and is not odd in x."""
    mixed = 0.8 * x - 0.4 * x.roll(1, 1) + 0.3 * x.roll(2, 3)
    return torch.tanh(mixed + 0.2) + 0.5 * torch.sin(t.double() / 170).to(x.dtype).view(-1, 1, 1, 1)


def at_times(times: list[float], prediction: str) -> Callable[[Tensor, Level], Denoised]:
    """Our denoiser, shown the peer's times in the order of the peer's calls."""
    plain, rest = denoiser(network, PREDICTIONS[prediction]), iter(times)
    return lambda x, level: plain(x, Level(next(rest), level.alpha, level.sigma), Condition())


def levels_of(peer: Any) -> list[Level]:
    """The peer's grid, each level once."""
    ratios = [sigma for sigma, _ in itertools.groupby(peer.sigmas.double().tolist())]
    return [CLEAN if ratio == 0 else preserving_at(-2 * math.log(ratio)) for ratio in ratios]


def peer_of(scheduler: type, options: dict[str, Any], prediction: str, dtype: torch.dtype) -> Any:
    """The peer with nine steps; made once, since some need a third of a second for it."""
    key = scheduler, *options.items(), dtype
    if key not in PEERS:
        PEERS[key] = scheduler(**STABLE, **options)
    PEERS[key].register_to_config(prediction_type=prediction)
    PEERS[key].set_timesteps(9)
    return PEERS[key]


def theirs(peer: Any, x: Tensor) -> Iterator[Tensor]:
    """The peer's own walk, a tensor for each whole step; its last is of first order."""
    last = len(peer.timesteps) - 1
    for i, t in enumerate(peer.timesteps):
        scaled = peer.scale_model_input(x, t)
        x = peer.step(network(scaled, t.float().expand(len(x))), t, x).prev_sample
        if getattr(peer, "state_in_first_order", True) or i == last:
            yield x


def error(
    name: str, options: dict[str, Any], prediction: str, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> float:
    """The largest relative difference after any step of nine."""
    scheduler, walk = WALKS[name]
    peer = peer_of(scheduler, options, prediction, dtype)
    generator = torch.Generator().manual_seed(3)
    noises = [torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(10)]
    fed = iter(noises)
    for module in DRAWING:
        monkeypatch.setattr(module, "randn_tensor", lambda *args, **kwargs: next(fed))
    levels = levels_of(peer)
    x = noises[-1] * levels[0].ratio
    times = peer.timesteps.double().tolist()
    denoise = at_times(times, prediction)
    steps = walked(walk, levels[0].alpha * x, levels, denoise, noise=GivenNoise(noises))
    worst = 0.0
    for step, peers in zip(steps, theirs(peer, x), strict=True):
        assert step.following_BCHW.dtype == peers.dtype == dtype
        ours = step.following_BCHW / step.next_level.alpha
        worst = max(worst, ((ours - peers).abs().max() / peers.abs().max()).item())
    with pytest.raises(StopIteration):  # as many calls as the peer's
        denoise(x, levels[0])
    return worst


CASES = [
    (name, spacing, prediction)
    for name in WALKS
    for spacing in SPACINGS.values()
    for prediction in PREDICTIONS
    if name in {"euler", "heun"} or prediction != "sample"
] + [
    (name, SPACINGS["linspace"] | shape, "epsilon")
    for name in WALKS
    for shape in RESHAPED.values()
    if name != "euler_ancestral"
]


def _label(case: Any) -> str:
    return "-".join([*case, case["timestep_spacing"]][1:]) if isinstance(case, dict) else str(case)


@pytest.mark.parametrize(("name", "options", "prediction"), CASES, ids=_label)
@pytest.mark.usefixtures("in_float64")
def test_in_float64(
    name: str, options: dict[str, Any], prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert error(name, options, prediction, monkeypatch, torch.float64) < 1e-11


@pytest.mark.parametrize(("name", "options", "prediction"), CASES, ids=_label)
def test_untouched_classes_in_float32(
    name: str, options: dict[str, Any], prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert error(name, options, prediction, monkeypatch, torch.float32) < 1e-5


@pytest.mark.parametrize("drive", [True, False], ids=["driven", "as it is"])
@pytest.mark.usefixtures("in_float64")
def test_eulers_churn(*, drive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Driven, diffusers' step is given what the network says at the raised level; as it is, it is far off."""
    churn = Churn(s_churn=2.0, s_noise=1.01)
    peer = EulerDiscreteScheduler(**STABLE)
    peer.set_timesteps(9)
    generator = torch.Generator().manual_seed(3)
    noises = [torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(10)]
    fed = iter(noises)
    monkeypatch.setattr(scheduling_euler_discrete, "randn_tensor", lambda *args, **kwargs: next(fed))
    levels = levels_of(peer)
    x = noises[-1] * levels[0].ratio
    steps = walked(
        Euler(churn=churn),
        levels[0].alpha * x,
        levels,
        at_times(peer.timesteps.tolist(), "epsilon"),
        noise=GivenNoise(noises),
    )
    worst = 0.0
    for step, t in zip(steps, peer.timesteps, strict=True):
        sigma = step.level.ratio
        raised = sigma * (1 + 2.0 / 9)
        seen = x + noises[step.index] * 1.01 * (raised**2 - sigma**2) ** 0.5 if drive else x
        shown = seen / ((raised if drive else sigma) ** 2 + 1) ** 0.5
        peer.is_scale_input_called = True
        x = peer.step(network(shown, t.float().expand(len(x))), t, x, s_churn=2.0, s_noise=1.01).prev_sample
        difference = (step.following_BCHW / step.next_level.alpha - x).abs().max() / x.abs().max()
        worst = max(worst, difference.item())
    assert worst < 1e-11 if drive else worst > 0.01

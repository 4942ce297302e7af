"""Whole trajectories against diffusers' DDPMScheduler and DDIMScheduler fed the same noise.

In float64 (their own classes, with float64 in float32's place) every step agrees to 1e-11, where 8e-13 was seen; in
float32, their classes untouched, to 1e-5. What differs on purpose is driven around, or pinned in a test of its own:

* DDIMScheduler goes from t to t − T // N, which leaves its own grid where that is uneven (linspace, most trailing
  grids). We walk the grid; here its N is set before each step so that T // N is the grid's gap.
* DDIMScheduler keeps the ε of before clipping unless `use_clipped_model_output=True`. Ours always belongs to x₀.
* DDPMScheduler adds noise in the last step when that does not start at time 0. We add none into the clean level.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddpm
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import NoiseSchedule, Schedule, TimeAxis, TimeSpacing, Walk
from diffloom.process import (
    X0,
    CosineSchedule,
    Epsilon,
    FixedLarge,
    FixedSmall,
    LinearSchedule,
    ScaledLinearSchedule,
    Step,
    TableSchedule,
    V,
    clipped,
    denoiser,
)
from diffloom.testing.course import GivenNoise, walked
from diffloom_samplers import DDIM, DDPM
from diffloom_spacings import Leading, Linspace, Trailing

SPACINGS: dict[str, TimeSpacing] = {"leading": Leading(), "trailing": Trailing(), "linspace": Linspace()}
PREDICTIONS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
SCHEDULES: dict[str, tuple[Schedule, dict[str, Any]]] = {
    "linear": (LinearSchedule(), {}),
    "scaled_linear": (
        ScaledLinearSchedule(),
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    ),
    "cosine": (CosineSchedule(), {"beta_schedule": "squaredcos_cap_v2"}),
}
VARIANCES = {"fixed_small": FixedSmall(), "fixed_large": FixedLarge()}
SHAPE = (2, 3, 4, 5)
T = 1000


def network(x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
    """A fixed nonlinear function of x and t that mixes channels and pixels and is not odd in x."""
    mixed = 0.8 * x - 0.4 * x.roll(1, 1) + 0.3 * x.roll(2, 3)
    return torch.tanh(mixed + 0.2) + 0.5 * torch.sin(t / 170).to(x.dtype).view(-1, 1, 1, 1)


def ours(
    walk: Walk, case: dict[str, Any], schedule: NoiseSchedule, times: list[int], noises: list[Tensor]
) -> list[Step]:
    levels = schedule.levels(times)
    if case.get("end") == "first":
        levels = (*levels[:-1], schedule.levels([0])[0])
    plain = denoiser(network, PREDICTIONS[case["prediction"]])
    denoise: Callable[..., Any] = clipped(plain, 1.0) if case["clip"] else plain
    return walked(
        walk,
        noises[-1],
        levels,
        lambda x, level: denoise(x, level, Condition()),
        noise=GivenNoise(noises),
        variance=VARIANCES[case.get("variance", "fixed_small")],
    )


def prepared(
    peer: Any, case: dict[str, Any], steps: int, dtype: torch.dtype
) -> tuple[NoiseSchedule, list[int], Any]:
    """Our schedule, the common grid, and noise: one for each step, then the start.

    In float32 our schedule is the peer's own float32 table, whose rounding would otherwise be all that one sees.
    """
    peer.set_timesteps(steps)
    times = peer.timesteps.tolist()
    offset = {"offset": case["offset"]} if "offset" in case else {}
    assert times == list(type(SPACINGS[case["spacing"]])(**offset).times(axis=TimeAxis.table(T), steps=steps))
    schedule = SCHEDULES[case["schedule"]][0].build()
    if dtype == torch.float32:
        schedule = TableSchedule(peer.alphas_cumprod)
    generator = torch.Generator().manual_seed(steps)
    return schedule, times, [torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(steps + 1)]


def peer_options(case: dict[str, Any]) -> dict[str, Any]:
    return {
        **SCHEDULES[case["schedule"]][1],
        "prediction_type": case["prediction"],
        "clip_sample": case["clip"],
        "timestep_spacing": case["spacing"],
        "steps_offset": case.get("offset", 0),
    }


def ddim_error(
    case: dict[str, Any],
    steps: int,
    eta: float,
    *,
    dtype: torch.dtype,
    drive: bool = True,
    rederive: bool = True,
) -> float:
    """The largest relative difference of any step's x₀ or following x between DDIM and DDIMScheduler."""
    peer = DDIMScheduler(**peer_options(case), set_alpha_to_one=case.get("end") != "first")
    schedule, times, noises = prepared(peer, case, steps, dtype)
    gaps = [t - s for t, s in pairwise([*times, -1])]
    x, worst = noises[-1], 0.0
    for step in ours(DDIM(eta=eta), case, schedule, times, noises):
        t = times[step.index]
        if drive:
            peer.num_inference_steps = Fraction(T, gaps[step.index])  # so that T // N is this gap
        result = peer.step(
            network(x, torch.full((SHAPE[0],), float(t))),
            t,
            x,
            eta=eta,
            use_clipped_model_output=rederive,
            variance_noise=noises[step.index] if eta else None,
        )
        worst = max(worst, difference(step, result))
        x = result.prev_sample
    assert step.index == steps - 1
    return worst


def ddpm_error(
    case: dict[str, Any],
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    dtype: torch.dtype,
    last_noise: bool = False,
) -> float:
    """The largest relative difference of any step's x₀ or following x between DDPM and DDPMScheduler."""
    peer = DDPMScheduler(**peer_options(case), variance_type=case["variance"])
    schedule, times, noises = prepared(peer, case, steps, dtype)
    if not last_noise:
        noises[-2].zero_()  # diffusers may add it into the clean level
    fed = iter(noises)
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **options: next(fed))
    x, worst = noises[-1], 0.0
    for step in ours(DDPM(), case, schedule, times, noises):
        t = times[step.index]
        result = peer.step(network(x, torch.full((SHAPE[0],), float(t))), t, x)
        worst = max(worst, difference(step, result))
        x = result.prev_sample
    assert step.index == steps - 1
    return worst


def difference(step: Step, peer: Any) -> float:
    """Of x, relative to its largest value (single pixels pass through 0); of x₀, relative to x_t as alpha·x₀.

    x₀ itself is (x_t − sigma·ε) / alpha, which at time 999 enlarges float32's rounding 157 times, ours and theirs.
    """
    assert step.following_BCHW.dtype == peer.prev_sample.dtype
    x = (step.following_BCHW - peer.prev_sample).abs().max() / peer.prev_sample.abs().max()
    x0 = step.level.alpha * (step.x0_BCHW - peer.pred_original_sample).abs().max() / step.x_t_BCHW.abs().max()
    return float(torch.maximum(x, x0))


clips = pytest.mark.parametrize("clip", [False, True], ids=["free", "clip"])
by_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
# even and uneven grids; all of T is the same grid for every spacing
grids = pytest.mark.parametrize(
    ("spacing", "steps"),
    [(spacing, steps) for spacing in SPACINGS for steps in (10, 13, 50)]
    + [("leading", 1000), ("trailing", 333), ("linspace", 150)],
)


@grids
@by_prediction
@clips
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.usefixtures("in_float64")
def test_ddim(spacing: str, steps: int, prediction: str, clip: bool, eta: float) -> None:
    case = {"schedule": "linear", "spacing": spacing, "prediction": prediction, "clip": clip}
    assert ddim_error(case, steps, eta, dtype=torch.float64) < 1e-11


@by_prediction
@clips
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(
    "grid", [{"spacing": "leading", "offset": 1}, {"spacing": "trailing"}], ids=["leading", "trailing"]
)
@pytest.mark.usefixtures("in_float64")
def test_ddim_that_ends_at_the_first_time(
    grid: dict[str, Any], prediction: str, clip: bool, eta: float
) -> None:
    """`set_alpha_to_one=False`, as Stable Diffusion has it: with η above 0 the last step adds noise as any other."""
    case = {"schedule": "scaled_linear", **grid, "prediction": prediction, "clip": clip, "end": "first"}
    assert ddim_error(case, 20, eta, dtype=torch.float64, drive=False) < 1e-11


@grids
@by_prediction
@clips
@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.usefixtures("in_float64")
def test_ddpm(
    *, spacing: str, steps: int, prediction: str, clip: bool, variance: str, monkeypatch: Any
) -> None:
    case = {
        "schedule": "linear",
        "spacing": spacing,
        "prediction": prediction,
        "clip": clip,
        "variance": variance,
    }
    assert ddpm_error(case, steps, monkeypatch, dtype=torch.float64) < 1e-11


@by_prediction
@clips
@pytest.mark.parametrize("schedule", ["scaled_linear", "cosine"])
@pytest.mark.usefixtures("in_float64")
def test_other_schedules(schedule: str, prediction: str, clip: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """η = 0.5 besides, which is neither end."""
    case = {"schedule": schedule, "spacing": "linspace", "prediction": prediction, "clip": clip}
    assert ddim_error(case, 20, 0.5, dtype=torch.float64) < 1e-11
    assert ddpm_error({**case, "variance": "fixed_small"}, 20, monkeypatch, dtype=torch.float64) < 1e-11


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("steps", [10, 50])
@by_prediction
@clips
def test_untouched_classes_in_float32(
    *, spacing: str, steps: int, prediction: str, clip: bool, monkeypatch: Any
) -> None:
    """On even grids DDIMScheduler needs no driving: neither class, nor its state, is altered."""
    case = {
        "schedule": "linear",
        "spacing": spacing,
        "prediction": prediction,
        "clip": clip,
        "variance": "fixed_small",
    }
    for eta in (0.0, 1.0):
        assert ddim_error(case, steps, eta, dtype=torch.float32, drive=False) < 1e-5
    assert ddpm_error(case, steps, monkeypatch, dtype=torch.float32) < 1e-5


@pytest.mark.usefixtures("in_float64")
def test_what_differs_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three differences named above are real: without the driving, each shows."""
    case = {"schedule": "linear", "spacing": "linspace", "prediction": "epsilon", "clip": True}
    assert ddim_error(case, 13, 0.0, dtype=torch.float64, drive=False) > 0.01
    assert ddim_error(case, 13, 0.0, dtype=torch.float64, rederive=False) > 0.01
    large = {**case, "spacing": "trailing", "variance": "fixed_large"}
    assert ddpm_error(large, 13, monkeypatch, dtype=torch.float64, last_noise=True) > 0.01

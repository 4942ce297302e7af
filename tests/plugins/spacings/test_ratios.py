"""Spacings of sigma/alpha: printed grids, diffusers' own conversions, k-diffusion's formulas, NVIDIA's tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from diffusers import DPMSolverMultistepScheduler, EDMEulerScheduler, EulerDiscreteScheduler
from diffusers.schedulers import AysSchedules
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import NoiseSchedule, Spacing
from diffloom.process import (
    EDMSchedule,
    FlowSchedule,
    ScaledLinearSchedule,
    VPSchedule,
    ZeroTerminalSNRSchedule,
)
from diffloom_spacings import (
    AlignYourSteps,
    BetaRatio,
    Explicit,
    Exponential,
    Karras,
    LogSNRUniform,
    PolyExponential,
)

SD = ScaledLinearSchedule().build()
EDM = EDMSchedule().build()
FLOW = FlowSchedule().build()
ZERO = ZeroTerminalSNRSchedule(schedule=ScaledLinearSchedule()).build()
SD_OPTIONS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def ratios(spacing: Spacing, schedule: NoiseSchedule, steps: int) -> list[float]:
    return [level.ratio for level in spacing.levels(schedule, steps=steps)]


def test_printed_grids_of_edm() -> None:
    """ρ = 7 from 80 to 0.002, to every printed digit."""
    eighteen = (
        "80 57.585985 40.785574 28.374585 19.352453 12.910082 8.400935 5.315195 3.256822 1.923340 1.088171"
    )
    eighteen += " 0.585348 0.296442 0.139516 0.059947 0.022935 0.007528 0.002"
    for printed in (eighteen, "80 17.527832 2.515219 0.169753 0.002"):
        wanted = [float(figure) for figure in printed.split()]
        assert ratios(Karras(), EDM, len(wanted)) == pytest.approx(wanted, abs=5.1e-7)


def test_printed_grid_of_stable_diffusion() -> None:
    """Printed from float32 tables, whose cleanest 1 − ᾱ of 8.5e-4 is good to 7e-5: half of that in sigma."""
    printed = "14.614641 9.102934 5.478400 3.168610 1.749423 0.914076 0.446921 0.201400 0.081911 0.029168"
    wanted = [float(figure) for figure in printed.split()]
    assert ratios(Karras(), SD, 10) == pytest.approx(wanted, rel=3.5e-5)


@pytest.mark.parametrize("steps", [2, 5, 10, 25])
@pytest.mark.parametrize(
    ("switch", "spacing"),
    [
        ("use_karras_sigmas", Karras()),
        ("use_exponential_sigmas", Exponential()),
        ("use_beta_sigmas", BetaRatio()),
    ],
)
def test_diffusers_conversions(switch: str, spacing: Spacing, steps: int) -> None:
    """EulerDiscreteScheduler's sigmas and fractional times, float32; times are interpolated in log sigma."""
    peer = EulerDiscreteScheduler(**SD_OPTIONS, timestep_spacing="linspace", **{switch: True})  # type: ignore[arg-type]
    peer.set_timesteps(steps)
    levels = spacing.levels(SD, steps=steps)
    np.testing.assert_allclose([level.ratio for level in levels], peer.sigmas[:-1].double(), rtol=2e-5)
    # times are found on float32 tables whose log sigma changes by 0.003 in a step
    np.testing.assert_allclose([level.t for level in levels], peer.timesteps.double(), atol=0.02)


@pytest.mark.parametrize("steps", [2, 10, 25])
def test_diffusers_lu_lambdas(steps: int) -> None:
    """Uniform half log-SNR between the ends of the grid."""
    peer = DPMSolverMultistepScheduler(
        **SD_OPTIONS,
        use_lu_lambdas=True,
        timestep_spacing="linspace",  # type: ignore[arg-type]
    )
    peer.set_timesteps(steps)
    ours = ratios(LogSNRUniform(), SD, steps)
    np.testing.assert_allclose(ours, peer.sigmas[:-1].double(), rtol=2e-5)
    assert ours == pytest.approx(ratios(Exponential(), SD, steps))
    half = [-math.log(ratio) for ratio in ours]
    gaps = [later - earlier for earlier, later in pairwise(half)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps), rel=1e-9)


@pytest.mark.parametrize("schedule", ["karras", "exponential"])
def test_diffusers_edm_grids(schedule: str) -> None:
    peer = EDMEulerScheduler(sigma_schedule=schedule)
    peer.set_timesteps(12)
    spacing = Karras() if schedule == "karras" else Exponential()
    levels = spacing.levels(EDM, steps=12)
    np.testing.assert_allclose([level.ratio for level in levels], peer.sigmas[:-1].double(), rtol=1e-5)
    np.testing.assert_allclose([level.t for level in levels], peer.timesteps.double(), rtol=1e-5, atol=1e-6)


@given(rho=st.floats(0.3, 10), steps=st.integers(2, 60))
def test_k_diffusions_polynomials(rho: float, steps: int) -> None:
    """`get_sigmas_polyexponential` and `get_sigmas_karras`, each a line of numpy."""
    low, high = 0.05, 9.0
    ramp = np.linspace(1, 0, steps)
    poly = np.exp(ramp**rho * (math.log(high) - math.log(low)) + math.log(low))
    ours = ratios(PolyExponential(rho=rho, sigma_min=low, sigma_max=high), SD, steps)
    np.testing.assert_allclose(ours, poly, rtol=1e-9)
    karras = (high ** (1 / rho) + (1 - ramp) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    np.testing.assert_allclose(
        ratios(Karras(rho=rho, sigma_min=low, sigma_max=high), SD, steps), karras, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("model", "theirs"),
    [("sd15", "StableDiffusion"), ("sdxl", "StableDiffusionXL"), ("svd", "StableDiffusionVideo")],
)
def test_ten_steps_are_nvidias(model: str, theirs: str) -> None:
    """diffusers' copy of the tables, whose eleventh is clean."""
    key = f"{theirs}Sigmas"
    published = AysSchedules[key]
    schedule = EDMSchedule(sigma_min=0.001, sigma_max=1000.0).build()
    ours = ratios(AlignYourSteps(model=model), schedule, 10)  # type: ignore[arg-type]
    assert ours == pytest.approx(published[:10], rel=1e-12)


def test_other_counts_interpolate_logarithms() -> None:
    """Their `loglinear_interp` to N + 1 points, of which the last becomes clean, in numpy."""
    table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    schedule = EDM
    for steps in (1, 4, 7, 20, 33):
        points = np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, 11), np.log(table))
        ours = ratios(AlignYourSteps(model="sd15"), schedule, steps)
        np.testing.assert_allclose(ours, np.exp(points)[:-1], rtol=1e-9)
    assert ratios(AlignYourSteps(model="sd15"), SD, 10)[0] == pytest.approx(14.614641, rel=1e-6), "not 14.615"
    with pytest.raises(
        ValueError, match=r"sigma 700 is not in the schedule, whose sigma/alpha runs from 0\.0291"
    ):
        AlignYourSteps(model="svd").levels(SD, steps=10)


SPACINGS: Sequence[Spacing] = [
    Karras(),
    Exponential(),
    LogSNRUniform(),
    PolyExponential(rho=2.0),
    BetaRatio(),
]


@pytest.mark.parametrize("spacing", SPACINGS, ids=lambda spacing: spacing.name)
@pytest.mark.parametrize("schedule", [ZERO, FLOW], ids=["zero terminal SNR", "flow"])
def test_where_no_signal_is_left_the_walk_begins_there(spacing: Spacing, schedule: NoiseSchedule) -> None:
    """At the last time itself, then between one N-th of the times before it and the first."""
    levels = spacing.levels(schedule, steps=8)
    (end, second, first, _) = schedule.levels(
        [schedule.axis.last, schedule.axis.at(7 / 8), schedule.axis.first]
    )
    assert levels[0] == end
    assert levels[0].ratio == math.inf
    assert levels[1].ratio == pytest.approx(second.ratio, rel=1e-9)
    assert levels[-1].ratio == pytest.approx(first.ratio, rel=1e-9)
    assert spacing.levels(schedule, steps=1) == (end,)
    limited = spacing.model_copy(update={"sigma_max": 10.0}).levels(schedule, steps=5)
    assert limited[0].ratio == pytest.approx(10.0, rel=1e-9)


def test_ends_may_be_narrower_and_not_wider() -> None:
    narrow = ratios(Karras(sigma_min=0.1, sigma_max=5.0), SD, 6)
    assert (narrow[0], narrow[-1]) == pytest.approx((5.0, 0.1), rel=1e-9)
    for wide in (Karras(sigma_max=100.0), Karras(sigma_min=0.001)):
        with pytest.raises(
            ValueError, match=r"not in the schedule, whose sigma/alpha runs from 0\.029.* to 14\.6"
        ):
            wide.levels(SD, steps=5)
    with pytest.raises(ValidationError, match="sigma_max 1 must lie above sigma_min 2"):
        Karras(sigma_min=2.0, sigma_max=1.0)
    with pytest.raises(ValueError, match=r"there is nothing between sigma_max 0\.01 and sigma_min"):
        Karras(sigma_max=0.01).levels(SD, steps=5)
    with pytest.raises(ValueError, match="take 1 or more"):
        Karras().levels(SD, steps=0)


def test_listed_levels() -> None:
    by_time = Explicit(times=(900.0, 500.5, 0.0))
    assert by_time.levels(SD, steps=3) == SD.levels([900.0, 500.5, 0.0])[:-1]
    by_sigma = Explicit(sigmas=(3.0, 1.0, 0.1))
    for schedule in (SD, EDM, FLOW, VPSchedule().build()):
        assert ratios(by_sigma, schedule, 3) == pytest.approx([3.0, 1.0, 0.1], rel=1e-9)
    with pytest.raises(ValueError, match=r"3 levels are listed: set sampling\.steps to that"):
        by_sigma.check(axis=SD.axis, steps=4)
    with pytest.raises(ValueError, match=r"time 900 is not in the schedule: times run from 0\.001 to 1"):
        by_time.check(axis=FLOW.axis, steps=3)
    with pytest.raises(ValueError, match="sigma 300 is not in the schedule"):
        Explicit(sigmas=(300.0,)).levels(SD, steps=1)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "give either times or sigmas"),
        ({"times": (1.0,), "sigmas": (1.0,)}, "give either times or sigmas"),
        ({"times": ()}, "an empty list is no walk"),
        ({"sigmas": (1.0, 1.0)}, "levels fall, and 1 does not lie below 1"),
        ({"times": (1.0, 2.0)}, "levels fall, and 2 does not lie below 1"),
        ({"sigmas": (1.0, -2.0)}, "greater than 0"),
    ],
)
def test_lists_that_are_no_walk(fields: dict[str, tuple[float, ...]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Explicit.model_validate(fields)

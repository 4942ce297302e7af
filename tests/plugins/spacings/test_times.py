"""Evenly spaced times against printed grids and against diffusers' own `set_timesteps`, at every step count."""

from __future__ import annotations

from itertools import pairwise

import pytest
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import TimeAxis, TimeSpacing
from diffloom_spacings import Leading, Linspace, Trailing

T1000 = TimeAxis.table(1000)
SPACINGS: dict[str, TimeSpacing] = {"leading": Leading(), "trailing": Trailing(), "linspace": Linspace()}


def diffusers_times(spacing: str, length: int, steps: int, offset: int = 0) -> list[int]:
    peer = DDIMScheduler(num_train_timesteps=length, timestep_spacing=spacing, steps_offset=offset)  # type: ignore[arg-type]
    peer.set_timesteps(steps)
    return list(peer.timesteps.tolist())


def test_printed_grids() -> None:
    """50 of 1000 and trailing 13 of 1000, as the ground truth prints them."""
    assert Leading().times(axis=T1000, steps=50) == tuple(range(980, -1, -20))
    assert Leading(offset=1).times(axis=T1000, steps=50) == tuple(
        range(981, 0, -20)
    )  # latent-diffusion's uniform
    assert Trailing().times(axis=T1000, steps=50) == tuple(range(999, 0, -20))
    linspace = Linspace().times(axis=T1000, steps=50)
    assert (*linspace[:3], *linspace[-2:]) == (999, 979, 958, 20, 0)
    assert Trailing().times(axis=T1000, steps=13) == (
        *(999, 922, 845, 768, 691, 614, 537, 461, 384, 307, 230, 153, 76),
    )


@pytest.mark.parametrize("name", SPACINGS)
@pytest.mark.parametrize("length", [1000, 37])
def test_diffusers_at_every_step_count(name: str, length: int) -> None:
    """Tie for tie. One step is another matter: see below. diffusers' trailing grid is cut to the steps asked for."""
    for steps in range(2, length + 1):
        expected = diffusers_times(name, length, steps)[:steps]
        assert list(SPACINGS[name].times(axis=TimeAxis.table(length), steps=steps)) == expected, steps


def test_diffusers_trailing_has_a_step_too_many() -> None:
    """The trap our docstring names: for 62 of 1000 counts its grid has N + 1 times, and the last is −1."""
    longer = [steps for steps in range(1, 1001) if len(diffusers_times("trailing", 1000, steps)) > steps]
    assert len(longer) == 62
    assert longer[0] == 61
    assert all(diffusers_times("trailing", 1000, steps)[-1] == -1 for steps in longer)
    assert min(Trailing().times(axis=T1000, steps=61)) >= 0


@pytest.mark.parametrize("offset", [1, 5, 19])
def test_offsets_are_diffusers(offset: int) -> None:
    expected = diffusers_times("leading", 1000, 50, offset)
    assert list(Leading(offset=offset).times(axis=T1000, steps=50)) == expected


@given(name=st.sampled_from(sorted(SPACINGS)), length=st.integers(2, 5000), share=st.floats(0, 1))
def test_times_fall_strictly_inside_the_schedule(name: str, length: int, share: float) -> None:
    steps = 2 + round(share * (length - 2))
    times = SPACINGS[name].times(axis=TimeAxis.table(length), steps=steps)
    assert len(times) == steps
    assert all(isinstance(time, float) and time.is_integer() for time in times)
    assert all(later < earlier for earlier, later in pairwise(times))
    assert 0 <= times[-1] < times[0] <= length - 1
    if name == "trailing":
        assert times[0] == length - 1
    if name == "linspace":
        assert (times[0], times[-1]) == (length - 1, 0)
    if name == "leading":
        assert times[-1] == 0


@given(name=st.sampled_from(sorted(SPACINGS)), length=st.integers(1, 3000))
def test_as_many_steps_as_times_visits_them_all(name: str, length: int) -> None:
    assert SPACINGS[name].times(axis=TimeAxis.table(length), steps=length) == tuple(range(length - 1, -1, -1))


@pytest.mark.parametrize("spacing", SPACINGS.values(), ids=SPACINGS)
@pytest.mark.parametrize("steps", [0, -1, 101])
def test_more_steps_than_times_are_refused(spacing: TimeSpacing, steps: int) -> None:
    """They would visit a time twice."""
    with pytest.raises(ValueError, match=f"{steps} steps do not fit a schedule of 100 times: take 1 to 100"):
        spacing.times(axis=TimeAxis.table(100), steps=steps)


def test_an_offset_beyond_the_schedule_is_refused() -> None:
    """diffusers goes on to read past its table."""
    assert diffusers_times("leading", 1000, 1000, 1)[0] == 1000
    with pytest.raises(ValueError, match="offset 1 would start at time 1000, and the schedule ends at 999"):
        Leading(offset=1).times(axis=T1000, steps=1000)
    assert Leading(offset=19).times(axis=T1000, steps=50)[0] == 999
    with pytest.raises(ValueError, match="offset 20"):
        Leading(offset=20).times(axis=T1000, steps=50)
    with pytest.raises(ValidationError, match="offset"):
        Leading(offset=-1)


def test_one_step() -> None:
    """One step from time 0 would take pure noise for an almost clean picture; diffusers does that without a word."""
    assert diffusers_times("leading", 1000, 1) == diffusers_times("linspace", 1000, 1) == [0]
    for spacing in (Leading(), Linspace()):
        with pytest.raises(ValueError, match="take `trailing`"):
            spacing.times(axis=T1000, steps=1)
    assert Trailing().times(axis=T1000, steps=1) == (999.0,)
    assert Leading(offset=999).times(axis=T1000, steps=1) == (999.0,)


@given(
    name=st.sampled_from(sorted(SPACINGS)),
    steps=st.integers(2, 500),
    first=st.floats(-3, 0.9),
    shift=st.floats(1, 5),
)
def test_continuous_times_are_even_shares_of_the_axis(
    name: str, steps: int, first: float, shift: float
) -> None:
    """From last down to one N-th, from one N-th before last down to first, or both ends."""
    axis = TimeAxis(max(first, 1e-3), 1.0, None, shift) if shift > 2 else TimeAxis(first, 1.0, None)
    times = SPACINGS[name].times(axis=axis, steps=steps)
    shares = {
        "trailing": [1 - i / steps for i in range(steps)],
        "leading": [1 - (i + 1) / steps for i in range(steps)],
        "linspace": [1 - i / (steps - 1) for i in range(steps)],
    }[name]
    assert times == pytest.approx([axis.at(share) for share in shares], rel=1e-12, abs=1e-12)
    assert all(later < earlier for earlier, later in pairwise(times))


def test_continuous_times_are_not_counted() -> None:
    axis = TimeAxis(0.001, 1.0, None)
    with pytest.raises(ValueError, match="offset 1 counts times, and this schedule's are not counted"):
        Leading(offset=1).times(axis=axis, steps=5)
    for spacing in (Leading(), Linspace()):
        with pytest.raises(ValueError, match="take `trailing`"):
            spacing.times(axis=axis, steps=1)
    assert Trailing().times(axis=axis, steps=1) == (1.0,)
    with pytest.raises(ValueError, match="take 1 or more"):
        Trailing().times(axis=axis, steps=0)


def test_counted_times_of_another_axis() -> None:
    """Training times need not be whole numbers: eleven from 0 to 1 are 0, 0.1, …, 1."""
    axis = TimeAxis(0.0, 1.0, 11)
    assert Trailing().times(axis=axis, steps=3) == pytest.approx((1.0, 0.6, 0.3))
    assert Linspace().times(axis=axis, steps=3) == pytest.approx((1.0, 0.5, 0.0))
    assert Leading().times(axis=axis, steps=5) == pytest.approx((0.8, 0.6, 0.4, 0.2, 0.0))


@pytest.mark.parametrize("name", ["leading", "linspace"])
@pytest.mark.parametrize("length", [1000, 37])
def test_without_the_endpoint_they_are_diffusers_solvers(name: str, length: int) -> None:
    """DPM-Solver's, and so DEIS's, SA-Solver's and UniPC's: one time more is spread, and the cleanest left out."""
    spacing = {"leading": Leading(endpoint=False, offset=1), "linspace": Linspace(endpoint=False)}[name]
    for steps in (1, 2, 3, 7, 10, 20, 33):
        peer = DPMSolverMultistepScheduler(
            num_train_timesteps=length, timestep_spacing=name, steps_offset=1 if name == "leading" else 0
        )
        peer.set_timesteps(steps)
        assert list(spacing.times(axis=TimeAxis.table(length), steps=steps)) == peer.timesteps.tolist(), steps
    assert Linspace(endpoint=False).times(axis=TimeAxis(0.0, 1.0, None), steps=4) == (1.0, 0.75, 0.5, 0.25)

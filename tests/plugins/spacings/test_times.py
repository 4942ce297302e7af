"""Spacings against printed grids and against diffusers' own `set_timesteps`, at every step count."""

from __future__ import annotations

from itertools import pairwise

import pytest
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from diffloom.kinds import Spacing
from diffloom_spacings import Leading, Linspace, Trailing

SPACINGS: dict[str, Spacing] = {"leading": Leading(), "trailing": Trailing(), "linspace": Linspace()}


def diffusers_times(spacing: str, length: int, steps: int, offset: int = 0) -> list[int]:
    peer = DDIMScheduler(num_train_timesteps=length, timestep_spacing=spacing, steps_offset=offset)  # type: ignore[arg-type]
    peer.set_timesteps(steps)
    return list(peer.timesteps.tolist())


def test_printed_grids() -> None:
    """50 of 1000 and trailing 13 of 1000, as the ground truth prints them."""
    assert Leading().times(length=1000, steps=50) == tuple(range(980, -1, -20))
    assert Leading(offset=1).times(length=1000, steps=50) == tuple(
        range(981, 0, -20)
    )  # latent-diffusion's uniform
    assert Trailing().times(length=1000, steps=50) == tuple(range(999, 0, -20))
    linspace = Linspace().times(length=1000, steps=50)
    assert (*linspace[:3], *linspace[-2:]) == (999, 979, 958, 20, 0)
    assert Trailing().times(length=1000, steps=13) == (
        *(999, 922, 845, 768, 691, 614, 537, 461, 384, 307, 230, 153, 76),
    )


@pytest.mark.parametrize("name", SPACINGS)
@pytest.mark.parametrize("length", [1000, 37])
def test_diffusers_at_every_step_count(name: str, length: int) -> None:
    """Tie for tie. One step is another matter: see below. diffusers' trailing grid is cut to the steps asked for."""
    for steps in range(2, length + 1):
        expected = diffusers_times(name, length, steps)[:steps]
        assert list(SPACINGS[name].times(length=length, steps=steps)) == expected, steps


def test_diffusers_trailing_has_a_step_too_many() -> None:
    """The trap our docstring names: for 62 of 1000 counts its grid has N + 1 times, and the last is −1."""
    longer = [steps for steps in range(1, 1001) if len(diffusers_times("trailing", 1000, steps)) > steps]
    assert len(longer) == 62
    assert longer[0] == 61
    assert all(diffusers_times("trailing", 1000, steps)[-1] == -1 for steps in longer)
    assert min(Trailing().times(length=1000, steps=61)) >= 0


@pytest.mark.parametrize("offset", [1, 5, 19])
def test_offsets_are_diffusers(offset: int) -> None:
    expected = diffusers_times("leading", 1000, 50, offset)
    assert list(Leading(offset=offset).times(length=1000, steps=50)) == expected


@given(name=st.sampled_from(sorted(SPACINGS)), length=st.integers(2, 5000), share=st.floats(0, 1))
def test_times_fall_strictly_inside_the_schedule(name: str, length: int, share: float) -> None:
    steps = 2 + round(share * (length - 2))
    times = SPACINGS[name].times(length=length, steps=steps)
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
    assert SPACINGS[name].times(length=length, steps=length) == tuple(range(length - 1, -1, -1))


@pytest.mark.parametrize("spacing", SPACINGS.values(), ids=SPACINGS)
@pytest.mark.parametrize("steps", [0, -1, 101])
def test_more_steps_than_times_are_refused(spacing: Spacing, steps: int) -> None:
    """They would visit a time twice."""
    with pytest.raises(ValueError, match=f"{steps} steps do not fit a schedule of 100 times: take 1 to 100"):
        spacing.times(length=100, steps=steps)


def test_an_offset_beyond_the_schedule_is_refused() -> None:
    """diffusers goes on to read past its table."""
    assert diffusers_times("leading", 1000, 1000, 1)[0] == 1000
    with pytest.raises(ValueError, match="offset 1 would start at time 1000, and the schedule ends at 999"):
        Leading(offset=1).times(length=1000, steps=1000)
    assert Leading(offset=19).times(length=1000, steps=50)[0] == 999
    with pytest.raises(ValueError, match="offset 20"):
        Leading(offset=20).times(length=1000, steps=50)
    with pytest.raises(ValidationError, match="offset"):
        Leading(offset=-1)


def test_one_step() -> None:
    """One step from time 0 would take pure noise for an almost clean picture; diffusers does that without a word."""
    assert diffusers_times("leading", 1000, 1) == diffusers_times("linspace", 1000, 1) == [0]
    for spacing in (Leading(), Linspace()):
        with pytest.raises(ValueError, match="take `trailing`"):
            spacing.times(length=1000, steps=1)
    assert Trailing().times(length=1000, steps=1) == (999.0,)
    assert Leading(offset=999).times(length=1000, steps=1) == (999.0,)

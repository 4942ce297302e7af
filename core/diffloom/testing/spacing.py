"""Laws of the kind `spacing`, on a table and on continuous schedules of each sort."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from diffloom.kinds import NoiseSchedule, Spacing, TimeSpacing
from diffloom.process import EDMSchedule, FlowSchedule, Level, LinearSchedule, VESchedule, VPSchedule
from diffloom.testing.checks import Check, expect

STEPS = (1, 2, 3, 7, 10, 45, 50, 64, 65)


@lru_cache(maxsize=1)
def schedules() -> dict[str, NoiseSchedule]:
    """A long and a short table, and the continuous ones."""
    components = {
        "a table of 1000 times": LinearSchedule(),
        "a table of 64 times": LinearSchedule(steps=64, beta_start=0.002, beta_end=0.3),
        "a continuous VP schedule": VPSchedule(),
        "a continuous VE schedule": VESchedule(),
        "an EDM schedule": EDMSchedule(),
        "a flow": FlowSchedule(),
        "a shifted flow": FlowSchedule(shift=3.0),
    }
    return {name: component.build() for name, component in components.items()}


def gives_levels_that_fall(component: Spacing) -> None:
    """Exactly `steps` levels of strictly falling noise, none clean; what it cannot serve is a ValueError."""
    served = 0
    for what, steps, _, levels in _served(component):
        served += steps > 1
        expect(isinstance(levels, tuple), f"a tuple of {what}", type(levels).__name__)
        expect(len(levels) == steps, what, len(levels))
        expect(not any(level.is_clean for level in levels), f"{what}, none of them clean", levels[-1])
        falls = all(later.ratio < earlier.ratio for earlier, later in pairwise(levels))
        expect(falls, f"{what} of strictly falling noise", [level.ratio for level in levels[:20]])
    expect(served > 0, "more than one level of some schedule", "a ValueError for every number of steps")


def stays_within_the_schedule(component: Spacing) -> None:
    """No level is noisier than the schedule's last time or cleaner than its first, to 1e-9."""
    for what, _, schedule, levels in _served(component):
        last, first, _ = schedule.levels([schedule.axis.last, schedule.axis.first])
        noisy, clean = levels[0].ratio, levels[-1].ratio
        inside = noisy <= last.ratio * (1 + 1e-9) and clean >= first.ratio * (1 - 1e-9)
        expect(inside, f"{what} from {last.ratio:.6g} to {first.ratio:.6g}", (noisy, clean))


def visits_levels_of_the_schedule(component: Spacing) -> None:
    """Every level has the alpha and sigma that the schedule has at its time, to 1e-6."""
    for what, _, schedule, levels in _served(component):
        for level in (levels[0], levels[len(levels) // 2], levels[-1]):
            (own, _) = schedule.levels([level.t])
            pairs = ((level.alpha, own.alpha), (level.sigma, own.sigma))
            near = all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)
            expect(near, f"of {what}, that at t = {level.t:g} to be {own}", level)


def visits_whole_times_of_a_table(component: Spacing) -> None:
    """A spacing of times visits times of training only, where they are counted, and gives them as floats."""
    if not isinstance(component, TimeSpacing):
        return
    for what, steps, schedule, _ in _served(component):
        times = component.times(axis=schedule.axis, steps=steps)
        expect(isinstance(times, tuple), f"a tuple of {what}", type(times).__name__)
        expect(all(isinstance(time, float) for time in times), f"times of {what} as floats", times[:5])
        whole = schedule.axis.count is None or all(time.is_integer() for time in times)
        expect(whole, f"whole times of {what}", times[:5])


def is_checked_without_building(component: Spacing) -> None:
    """Where `check` raises ValueError, `levels` does; of a spacing of times, only there."""
    for what, schedule in schedules().items():
        for steps in STEPS:
            refused = _levels(component, schedule, steps) is None
            try:
                component.check(axis=schedule.axis, steps=steps)
            except ValueError as error:
                expect(refused, f"no {steps} levels of {what}, since check says: {error}", "levels")
            else:
                told = not (refused and isinstance(component, TimeSpacing))
                expect(told, f"check to refuse {steps} levels of {what}, as `times` does", "no error")


def spans_the_schedule(component: Spacing) -> None:
    """With ten steps and more it begins in the noisy half of the times and ends in the clean half."""
    for what, steps, schedule, levels in _served(component):
        if steps >= 10:
            (middle, _) = schedule.levels([schedule.axis.at(0.5)])
            ends = (levels[0].ratio, levels[-1].ratio)
            expect(ends[0] > middle.ratio > ends[1], f"{what} around sigma/alpha {middle.ratio:g}", ends)


def repeats_itself(component: Spacing) -> None:
    """Equal questions have equal answers."""
    for what, steps, schedule, levels in _served(component):
        if steps in (7, 50):
            expect(_levels(component, schedule, steps) == levels, f"the same {what} twice", "others")


def _served(component: Spacing) -> Iterator[tuple[str, int, NoiseSchedule, tuple[Level, ...]]]:
    """What was asked, the number of steps, the schedule and its levels, wherever there are some."""
    for name, schedule in schedules().items():
        for steps in STEPS:
            levels = _levels(component, schedule, steps)
            if levels is not None:
                yield f"{steps} levels of {name}", steps, schedule, levels


def _levels(component: Spacing, schedule: NoiseSchedule, steps: int) -> tuple[Level, ...] | None:
    try:
        return component.levels(schedule, steps=steps)
    except ValueError:
        return None


CHECKS: tuple[Check, ...] = (
    gives_levels_that_fall,
    stays_within_the_schedule,
    visits_levels_of_the_schedule,
    visits_whole_times_of_a_table,
    is_checked_without_building,
    spans_the_schedule,
    repeats_itself,
)

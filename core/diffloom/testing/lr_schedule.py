"""Laws of the kind `lr_schedule`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from diffloom.kinds import LRSchedule
from diffloom.testing.checks import Check, expect

LENGTHS = (1, 10, 97, 1000)
WARMUP_STEPS = 8


def lies_between_0_and_1(component: LRSchedule) -> None:
    """The share of the highest rate is in [0, 1] at every step, and above 0 at some."""
    for steps in _lengths(component):
        factors = [component.factor(step, steps=steps) for step in range(1, steps + 1)]
        outside = [factor for factor in factors if not 0 <= factor <= 1]
        expect(not outside, f"shares in [0, 1] in a run of {steps}", outside[:5])
        expect(max(factors) > 0, f"a rate in a run of {steps}", "0 all along")


def warms_up_in_a_line(component: LRSchedule) -> None:
    """Over `warmup_steps` the shape's share is multiplied by step / warmup_steps, and is left alone afterwards."""
    warm = component.model_copy(update={"warmup_steps": WARMUP_STEPS})
    for steps in _lengths(warm):
        for step in range(1, steps + 1):
            wanted = min(1.0, step / WARMUP_STEPS) * warm.shape(step, steps=steps)
            came = warm.factor(step, steps=steps)
            expect(math.isclose(came, wanted, rel_tol=1e-12), f"{wanted:g} at step {step} of {steps}", came)


def is_open_ended_where_it_says(component: LRSchedule) -> None:
    """One that says `open_ended` is the same in a longer run."""
    if not component.open_ended:
        return
    for steps in LENGTHS:
        for step in range(1, steps + 1):
            short, long = (component.factor(step, steps=length) for length in (steps, 10 * steps))
            expect(short == long, f"{short:g} at step {step} of {10 * steps} too", long)


def repeats_itself(component: LRSchedule) -> None:
    """Equal questions have equal answers, in any order: a resumed run asks from the middle."""
    for steps in _lengths(component):
        there = [component.factor(step, steps=steps) for step in range(1, steps + 1)]
        back = [component.factor(step, steps=steps) for step in range(steps, 0, -1)]
        expect(there == back[::-1], f"the same shares backwards in a run of {steps}", "others")


def _lengths(component: LRSchedule) -> Iterator[int]:
    """The lengths of runs that it is made for: one of these at least."""
    served = 0
    for steps in LENGTHS:
        try:
            component.check(steps=steps)
        except ValueError:
            continue
        served += 1
        yield steps
    expect(served > 0, f"a schedule for one of {LENGTHS} steps", "a ValueError for each")


CHECKS: tuple[Check, ...] = (
    lies_between_0_and_1,
    warms_up_in_a_line,
    is_open_ended_where_it_says,
    repeats_itself,
)

"""Laws of the kind `spacing`."""

from __future__ import annotations

from itertools import pairwise

from diffloom.kinds import Spacing
from diffloom.testing.checks import Check, expect

STEPS = (1, 2, 3, 7, 10, 50, 64, 999)
SIZES = [(length, steps) for length in (10, 64, 1000, 1001) for steps in STEPS if steps <= length]


def gives_falling_times(component: Spacing) -> None:
    """Exactly `steps` times, strictly falling, in [0, length − 1]; a size it cannot serve is a ValueError."""
    served = 0
    for length, steps in SIZES:
        try:
            times = component.times(length=length, steps=steps)
        except ValueError:
            continue
        served += steps > 1
        what = f"{steps} of {length} times"
        expect(isinstance(times, tuple), f"a tuple of {what}", type(times).__name__)
        expect(len(times) == steps, what, len(times))
        expect(all(isinstance(time, float) for time in times), f"{what} as floats", times[:5])
        falls = all(later < earlier for earlier, later in pairwise(times))
        expect(falls, f"{what}, strictly falling", times[:20])
        expect(
            times[0] <= length - 1 and times[-1] >= 0, f"{what} in [0, {length - 1}]", (times[0], times[-1])
        )
    wanted = sum(steps > 1 for _, steps in SIZES) // 2
    expect(served >= wanted, f"times for at least {wanted} of {len(SIZES)} sizes", served)


def spans_the_schedule(component: Spacing) -> None:
    """With many steps it begins in the noisy half and ends in the clean half."""
    for length, steps in ((1000, 10), (1000, 50), (64, 16)):
        times = component.times(length=length, steps=steps)
        ends = (times[0], times[-1])
        expect(ends[0] > length / 2 > ends[1], f"{steps} of {length} times around {length // 2}", ends)


def repeats_itself(component: Spacing) -> None:
    """Equal questions have equal answers."""
    for length, steps in ((1000, 50), (64, 7)):
        first, second = (component.times(length=length, steps=steps) for _ in range(2))
        expect(first == second, f"the same {steps} of {length} times twice", "others")


CHECKS: tuple[Check, ...] = (gives_falling_times, spans_the_schedule, repeats_itself)

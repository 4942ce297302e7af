"""Numbers of times of training, 0 the cleanest, and the times that bear them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from diffloom.kinds import TimeAxis


def room(axis: TimeAxis, steps: int) -> int:
    """T. Raises ValueError for more steps than times, or for none."""
    assert axis.count is not None, "times that are not counted have room for any number of steps"
    if not 1 <= steps <= axis.count:
        raise ValueError(f"{steps} steps do not fit a schedule of {axis.count} times: take 1 to {axis.count}")
    return axis.count


def falling(axis: TimeAxis, rising: Sequence[int]) -> tuple[float, ...]:
    """The times of these numbers, noisiest first. Raises ValueError for a walk that takes noise for a clean picture."""
    if rising[-1] == 0 and axis.count != 1:
        raise one_clean_step()
    return tuple(axis.whole(index) for index in reversed(rising))


def falling_shares(axis: TimeAxis, rising: Sequence[float]) -> tuple[float, ...]:
    """The times at these shares of an axis that is not counted, noisiest first. Raises ValueError as `falling` does."""
    at_least_one(len(rising))
    if rising[-1] == 0:
        raise one_clean_step()
    return tuple(axis.at(share) for share in reversed(rising))


def distinct(rising: Sequence[int], count: int) -> list[int]:
    """The numbers, each moved as little as it takes for none to come twice and none to be `count` or more."""
    apart = list(accumulate(rising, lambda below, index: max(below + 1, index)))
    limits = range(count - len(apart), count)
    return [min(index, limit) for index, limit in zip(apart, limits, strict=True)]


def at_least_one(steps: int) -> None:
    """Raise ValueError for less than one step."""
    if steps < 1:
        raise ValueError("a walk of no steps arrives nowhere: take 1 or more")


def one_clean_step() -> ValueError:
    """A single step that would begin where nothing is left to do."""
    return ValueError("a single step of this spacing would start at the cleanest time: take `trailing`")

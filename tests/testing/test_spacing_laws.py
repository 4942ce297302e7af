"""The laws of spacings, on right ones and on mistakes made in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from diffloom.kinds import NoiseSchedule, Spacing, TimeAxis, TimeSpacing
from diffloom.process import CLEAN, Level


class Even(TimeSpacing):
    """Evenly spaced times from the last down, right or with one mistake."""

    name = "even"

    mistake: str = ""
    """Which."""

    def check(self, *, axis: TimeAxis, steps: int) -> None:
        if self.mistake == "checks nothing":
            return
        if self.mistake == "checks too much" and steps > 3:
            raise ValueError("too many")
        self.times(axis=axis, steps=steps)

    def times(self, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        bug = self.mistake
        if not 0 < steps <= (axis.count or math.inf):
            raise ValueError("no such times")
        if bug == "serves single steps only" and steps > 1:
            raise ValueError("too many")
        shares = [1 - i / max(steps - 1, 1) for i in range(steps)]
        if bug == "the clean half":
            shares = [share / 3 for share in shares]
        if bug == "rounds together":
            shares = [math.ceil(share * 5) / 5 for share in shares]
        if bug == "drawn":
            shares = [share * (1 - 1e-3 * float(torch.rand(()))) for share in shares]
        times = [axis.at(share) for share in shares]
        if axis.count is not None and bug not in ("fractions of a table", "drawn"):
            times = [float(round(time)) for time in times]
        if bug == "whole numbers":
            return tuple(round(time) for time in times)
        return tuple(times)

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        bug = self.mistake
        times = self.times(axis=schedule.axis, steps=steps if bug != "checks too much" else min(steps, 3))
        levels = schedule.levels(times)[:-1]
        first = levels[0]
        wrong: dict[str, Any] = {
            "rising": levels[::-1],
            "ends clean": (*levels[:-1], CLEAN),
            "one level more": (*levels, CLEAN),
            "one level less": levels[:-1],
            "a list": list(levels),
            "too noisy": (Level(first.t, first.alpha * 0.9, first.sigma), *levels[1:]),
            "times and noise apart": tuple(Level(x.t, x.alpha, x.sigma * 0.99) for x in levels),
        }
        found: tuple[Level, ...] = wrong.get(bug, levels)
        return found


def test_a_right_spacing_passes(passes: Callable[..., None]) -> None:
    passes(Even)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("rising", "gives_levels_that_fall"),
        ("ends clean", "gives_levels_that_fall"),
        ("one level more", "gives_levels_that_fall"),
        ("one level less", "gives_levels_that_fall"),
        ("rounds together", "gives_levels_that_fall"),
        ("a list", "gives_levels_that_fall"),
        ("serves single steps only", "gives_levels_that_fall"),
        ("too noisy", "stays_within_the_schedule"),
        ("times and noise apart", "visits_levels_of_the_schedule"),
        ("fractions of a table", "visits_whole_times_of_a_table"),
        ("whole numbers", "visits_whole_times_of_a_table"),
        ("checks nothing", "is_checked_without_building"),
        ("checks too much", "is_checked_without_building"),
        ("the clean half", "spans_the_schedule"),
        ("drawn", "repeats_itself"),
    ],
)
def test_a_mistake_in_a_spacing_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Even, mistake=mistake)


class Ratios(Spacing):
    """Levels of listed ratios, on schedules that have them."""

    name = "ratios"

    def levels(self, schedule: NoiseSchedule, *, steps: int) -> tuple[Level, ...]:
        if steps != 3:
            raise ValueError("three")
        return tuple(schedule.level(-2 * math.log(ratio)) for ratio in (3.0, 1.0, 0.5))


def test_a_spacing_of_levels_needs_no_times(passes: Callable[..., None]) -> None:
    passes(Ratios)

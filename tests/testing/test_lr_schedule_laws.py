"""The laws of learning-rate schedules, on a right one and on mistakes made in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from diffloom.kinds import LRSchedule

COUNTER = [0.0]


class Hyperbola(LRSchedule):
    """Falls as 1/step, right or with one mistake."""

    name = "hyperbola"
    open_ended: ClassVar[bool] = True

    mistake: str = ""
    """Which."""

    def factor(self, step: int, *, steps: int) -> float:
        if self.mistake == "no warm-up":
            return self.shape(step, steps=steps)
        return super().factor(step, steps=steps)

    def shape(self, step: int, *, steps: int) -> float:
        COUNTER[0] += 1e-9
        wrong = {
            "above 1": 1 + 1 / step,
            "below 0": 1 / step - 0.01,
            "nothing": 0.0,
            "ends with the run": 1 - step / (2 * steps),
            "counts its calls": 1 / (1 + COUNTER[0]),
        }
        return wrong.get(self.mistake, 1 / step)

    def check(self, *, steps: int) -> None:
        if self.mistake == "serves no run":
            raise ValueError("no")


def test_a_right_schedule_passes(passes: Callable[..., None]) -> None:
    passes(Hyperbola)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("above 1", "lies_between_0_and_1"),
        ("below 0", "lies_between_0_and_1"),
        ("nothing", "lies_between_0_and_1"),
        ("serves no run", "lies_between_0_and_1"),
        ("no warm-up", "warms_up_in_a_line"),
        ("ends with the run", "is_open_ended_where_it_says"),
        ("counts its calls", "repeats_itself"),
    ],
)
def test_a_mistake_in_a_schedule_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Hyperbola, mistake=mistake)

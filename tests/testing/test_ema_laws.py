"""The laws of averages, on a right one and on mistakes made in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from diffloom.kinds import EMA

COUNTER = [0.0]


class Squares(EMA):
    """A power function with γ = 1, right or with one mistake."""

    name = "squares"

    mistake: str = ""
    """Which."""

    @property
    def exponent(self) -> float:
        return -0.5 if self.mistake == "spreads out" else 1.0

    def remaining(self, step: int, *, batch_size: int) -> float:
        COUNTER[0] += 1e-9
        wrong = {
            "above 1": 1.5,
            "below 0": -0.1,
            "keeps all": 1.0,
            "keeps nothing": 0.0,
            "counts its calls": 1 / (1 + COUNTER[0]),
            "another power": (1 - 1 / step) ** 2.5,
            "counts pictures": (1 - 1 / (step * batch_size)) ** 2,
        }
        return float(wrong.get(self.mistake, (1 - 1 / step) ** 2))


def test_a_right_average_passes(passes: Callable[..., None]) -> None:
    passes(Squares)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("above 1", "keeps_a_share"),
        ("below 0", "keeps_a_share"),
        ("keeps all", "keeps_a_share"),
        ("keeps nothing", "keeps_a_share"),
        ("counts its calls", "repeats_itself"),
        ("another power", "is_a_power_of_the_step_where_it_says"),
        ("counts pictures", "is_a_power_of_the_step_where_it_says"),
        ("spreads out", "is_a_power_of_the_step_where_it_says"),
    ],
)
def test_a_mistake_in_an_average_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Squares, mistake=mistake)

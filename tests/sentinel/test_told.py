"""What is told, and how often. Oracle: the rule as it is written."""

from __future__ import annotations

from diffloom.sentinel.finding import Alarm, Finding
from diffloom.sentinel.told import LONG_STEPS, WORSE, Told


def alarm(cause: str = "loader-starved", figure: float = 1.0, about: str = "") -> Alarm:
    return Alarm(cause, f"{cause} {figure}", figure, about)


def test_a_cause_is_told_once() -> None:
    told = Told()
    assert told.new(5, [alarm()]) == [Finding(5, "loader-starved", "loader-starved 1.0")]
    assert told.new(6, [alarm(figure=WORSE * 0.99)]) == []


def test_and_again_when_it_is_worse() -> None:
    told = Told()
    told.new(5, [alarm()])
    assert [finding.step for finding in told.new(6, [alarm(figure=WORSE)])] == [6]
    assert told.new(7, [alarm(figure=WORSE)]) == []  # worse than at first, not than when told last


def test_and_again_after_a_long_while() -> None:
    told = Told()
    told.new(5, [alarm()])
    assert told.new(4 + LONG_STEPS, [alarm()]) == []
    assert len(told.new(5 + LONG_STEPS, [alarm()])) == 1


def test_the_same_of_something_else_is_news() -> None:
    told = Told()
    told.new(5, [alarm(about="fast")])
    assert len(told.new(6, [alarm(about="slow"), alarm(about="fast")])) == 1


def test_what_follows_from_another_cause_is_not_told_beside_it_nor_after_it() -> None:
    told = Told()
    found = told.new(5, [alarm("dead-layer"), alarm("learning-rate-too-high"), alarm("loader-starved")])
    assert [finding.cause for finding in found] == ["learning-rate-too-high", "loader-starved"]
    assert told.new(6, [alarm("condition-ignored")]) == []
    assert len(told.new(7, [alarm("ema-frozen")])) == 1  # whatever else is wrong, averages follow the weights
    assert (
        len(told.new(5 + LONG_STEPS, [alarm("condition-ignored")])) == 1
    )  # a network has learned anew by then

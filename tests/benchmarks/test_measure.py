"""Turns, medians and peaks. Oracle: clocks that arms move themselves, and what they compute, by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from benchmarks.speed import measure
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.measure import Figures, measured
from torch import Tensor

CPU = torch.device("cpu")
MIB = 2**20


@dataclass
class Clock:
    """Time that passes only where somebody works."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def arm(self, name: str, *turns: float, output: Callable[[], Tensor | None] = lambda: None) -> Arm:
        """An arm whose calls take so long, the last ever after; the first call is the one that warms up."""
        waiting = list(turns)

        def call() -> Tensor | None:
            self.seconds += waiting.pop(0) if len(waiting) > 1 else waiting[0]
            return output()

        return Arm(name, call)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(measure.time, "process_time", found.now)
    monkeypatch.setattr(measure.time, "perf_counter", found.now)
    return found


def by_arm(case: Case) -> dict[str, Figures]:
    return {one.arm: one for one in measured(case, CPU)}


def test_the_ratio_is_the_median_over_rounds_without_the_first_call(clock: Clock) -> None:
    peer = clock.arm("peer", 100, 2, 2, 2)
    own = clock.arm("own", 1000, 1, 4, 2)  # ratios 2, 1/2, 1
    found = by_arm(Case("work", peer, [own], rounds=3, fewest=3, seconds=1e9))
    assert found["own"].ratio == 1
    assert found["own"].seconds == 2
    assert found["peer"].ratio == 1
    assert found["own"].rounds == 3


def test_calls_of_a_turn_share_its_time(clock: Clock) -> None:
    case = Case("work", clock.arm("peer", 3), [clock.arm("own", 1)], rounds=2, fewest=1, calls=4)
    assert by_arm(case)["own"].seconds == 1
    assert by_arm(case)["own"].ratio == 3


@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [
        (1e9, 7),  # as many as there may be
        (0, 2),  # as few
        (11, 4),  # the fourth begins after 12 s
        (12, 5),
    ],
)
def test_rounds_end_when_their_time_is_over_but_not_before_the_fewest(
    clock: Clock, seconds: float, rounds: int
) -> None:
    arms = clock.arm("peer", 3), [clock.arm("own", 1)]
    found = by_arm(Case("work", *arms, rounds=7, fewest=2, seconds=seconds))
    assert found["own"].rounds == rounds


def test_arms_take_turns_in_both_orders(clock: Clock) -> None:
    seen: list[str] = []
    peer, own = (clock.arm(name, 1, output=lambda name=name: seen.append(name)) for name in "po")
    measured(Case("work", peer, [own], rounds=2, fewest=2), CPU)
    assert "".join(seen) == "po" + "po" + "op"


def test_an_arm_of_few_turns_has_the_first_and_the_last_and_its_ratios_are_those_rounds_own(
    clock: Clock,
) -> None:
    seen: list[str] = []
    peer = replace(clock.arm("p", 100, 2, 3, 4, 8, output=lambda: seen.append("p")))
    own = replace(clock.arm("o", 100, 1, 2, output=lambda: seen.append("o")), turns=2)
    found = by_arm(Case("work", peer, [own], rounds=4, fewest=4, seconds=1e9))
    assert "".join(seen) == "po" + "po" + "p" + "p" + "op"
    assert found["o"].rounds == 2
    assert found["o"].ratio == 3  # 2 / 1 and 8 / 2
    assert found["o"].spread == (2, 4)
    assert found["p"].rounds == 4


def test_outputs_are_compared_as_equally_many_calls_left_them(clock: Clock) -> None:
    """Of the first round, in standard deviations of the peer's: a training step's losses need an update before them."""
    x = torch.arange(4.0, dtype=torch.float64)
    shifts = iter([50.0, 0.5, 70.0])
    peer = clock.arm("peer", 1, output=lambda: x)
    own = clock.arm("own", 1, output=lambda: x + next(shifts))
    found = by_arm(Case("work", peer, [own], rounds=2, fewest=2))
    assert found["own"].difference == pytest.approx(0.5 / x.std().item(), rel=1e-12)
    assert found["peer"].difference == 0


def test_operations_are_counted_where_that_is_asked_for(clock: Clock) -> None:
    x, y = torch.ones(10, 20), torch.ones(20, 30)
    case = Case("work", clock.arm("peer", 1, output=lambda: x @ y), [], rounds=1, fewest=1)
    assert by_arm(replace(case, counts=True))["peer"].gflop == 2 * 10 * 20 * 30 / 1e9
    assert by_arm(replace(case, gflop=7.0))["peer"].gflop == 7
    assert by_arm(case)["peer"].gflop is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is resident at most")
def test_the_peak_is_what_a_call_needs_beyond_what_there_was() -> None:
    kept = torch.ones(16 * MIB)  # 64 MiB before the call

    def frugal() -> Tensor:
        return kept[:9]

    def wasteful() -> Tensor:
        return (kept + 1)[:9]

    case = Case("work", Arm("frugal", frugal), [Arm("wasteful", wasteful)], rounds=1, fewest=1)
    found = by_arm(case)
    assert found["frugal"].peak_mib < 8
    assert 60 < found["wasteful"].peak_mib < 72


def test_the_time_of_children_is_that_of_processes() -> None:
    """Half a second of a child's, where this process sleeps; its memory is not this process's."""
    busy = "import time\nwhile time.process_time() < 0.5: pass"

    started: list[str] = []

    def run(code: str) -> None:
        started.append(code)
        subprocess.run([sys.executable, "-S", "-c", code], check=True)

    arms = Arm("busy", lambda: run(busy)), [Arm("idle", lambda: run("pass"))]
    found = by_arm(Case("work", *arms, rounds=1, fewest=1, clock="children"))
    assert found["busy"].seconds >= 0.5
    assert found["idle"].seconds < 0.5
    assert found["busy"].peak_mib is None
    assert len(started) == 2, "each process is new, so that none warms up"

"""What is compared: calls that do the same work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.speed.goal import Goal
from torch import Tensor

Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True)
class Arm:
    """One way to do the work."""

    name: str
    call: Callable[[], Tensor | None]
    """Does it once, and returns what it made, for comparison: None where there is nothing to compare."""
    goals: Sequence[Goal] = ()
    """What it is asked to reach."""
    precision: Precision = "fp32"
    """What it multiplies in: its share is that of the machine's peak in this type."""
    turns: int | None = None
    """How often it takes its turn, at most and twice at least, where fewer than all rounds do; the last round is among
    them. For arms that nothing is asked of, and for those that compute what another arm does."""


@dataclass(frozen=True)
class Case:
    """Some work, the peer's way to do it, and ours."""

    title: str
    peer: Arm
    ours: Sequence[Arm]
    gflop: float | None = None
    """Floating-point operations of one call, in 10⁹, where they are known beforehand."""
    counts: bool = False
    """Whether they are counted instead, in the peer's first call. Where neither, they are not what the work costs."""
    rounds: int = 7
    """How often each arm takes its turn, at most; the first call of each, which warms up, is not counted."""
    fewest: int = 5
    """How often at least, however long it takes."""
    seconds: float = 30
    """What the rounds may take, by the wall's clock; the one that begins after it is the last."""
    calls: int = 1
    """Calls in a turn, for work that is over before a clock can tell."""
    clock: Literal["process", "children"] = "process"
    """Whose CPU time is the work's: this process's, or that of the processes that a call starts and waits for."""

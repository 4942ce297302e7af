"""What is compared: calls that do the same work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Arm:
    """One way to do the work."""

    name: str
    call: Callable[[], Tensor | None]
    """Does it once, and returns what it made, for comparison: None where there is nothing to compare."""


@dataclass(frozen=True)
class Case:
    """Some work, the peer's way to do it, and ours."""

    title: str
    peer: Arm
    ours: Sequence[Arm]
    gflop: float | None = None
    """Floating-point operations of one call, in 10⁹, as the peer does them; None where these are not what it costs."""
    rounds: int = 7
    """How often each arm takes its turn; the first turns, which warm up, are not counted."""
    calls: int = 1
    """Calls in a turn, for work that is over before a clock can tell."""
    clock: Literal["process", "children"] = "process"
    """Whose CPU time is the work's: this process's, or that of the processes that a call starts and waits for."""
    target: str = ""
    """What was asked for, in words: `fp32 ≥ 1.12×`."""

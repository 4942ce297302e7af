"""What an arm is asked to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Measure = Literal["speed", "time", "memory", "seconds"]


@dataclass(frozen=True)
class Goal:
    """A bound that one figure of an arm is held to."""

    row: str
    """What it is asked of, as the summary calls it; equal goals of several arms are one row there."""
    measure: Measure
    """`speed` is the peer's time by the arm's, at least; `time` and `memory` are the arm's by the peer's, at most;
    `seconds` are those of a call, at most."""
    bound: float
    stretch: float | None = None
    """What would be better still."""
    beyond: str = ""
    """Another arm of the case, whose seconds are taken off first."""
    least: str = ""
    """Another arm of the case, which does no more than anybody must, by torch alone: what it reaches is told where the
    bound is missed."""
    by_bf16: bool = False
    """Whether it was set for a processor that computes faster in bf16 than in float32."""

    def holds(self, found: float, *, stretch: bool = False) -> bool:
        """Whether a figure reaches the bound, or the better one."""
        bound = self.stretch if stretch else self.bound
        return bound is not None and (found >= bound if self.measure == "speed" else found <= bound)

    def told(self, figure: float) -> str:
        """A figure of this measure, as it is read: `1.12×`."""
        return f"{self._label}{self._figure(figure)}"

    def __str__(self) -> str:
        sign = "≥" if self.measure == "speed" else "≤"
        beyond = f" over {self.beyond}" if self.beyond else ""
        stretch = "" if self.stretch is None else f" (stretch {self._figure(self.stretch)})"
        return f"{self._label}{sign} {self._figure(self.bound)}{beyond}{stretch}"

    @property
    def _label(self) -> str:
        return "" if self.measure in ("speed", "seconds") else f"{self.measure} "

    def _figure(self, figure: float) -> str:
        return f"{figure:.3g}" + (" s" if self.measure == "seconds" else "×")

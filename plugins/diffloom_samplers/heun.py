"""Heun's method: the mean of the slopes at both ends of a step."""

from __future__ import annotations

from diffloom.process import Course, Level
from diffloom_samplers.euler import Euler, Look


class Heun(Euler):
    """Second order (Karras et al. 2022, algorithm 2, without noise algorithm 1), two calls a step."""

    def look(self, start: Level, landing: Level, course: Course) -> Look:
        """At the end of the step; half of the slope's change counts (line 11)."""
        return Look(landing, landing.alpha * (landing.ratio - start.ratio) / 2)

"""DPM-Solver++'s single step: x₀, not ε, is what changes evenly. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from math import expm1

from diffloom.process import Course, Level
from diffloom_samplers.dpm_solver import DPMSolver2S, between
from diffloom_samplers.euler import Look


class DPMPP2S(DPMSolver2S):
    """DPM-Solver++(2S) (Lu et al. 2022b, algorithm 1), two calls a step; with `ancestry` k-diffusion's ancestral."""

    compares = "x0"

    def look(self, start: Level, landing: Level, course: Course) -> Look:
        """At a share r1 of the step in λ."""
        h = landing.half_log_snr - start.half_log_snr
        return Look(between(start, landing, self.r1, course), -landing.alpha * expm1(-h) / (2 * self.r1))

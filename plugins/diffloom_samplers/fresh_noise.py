"""Where a step's fresh noise comes in: before it, raising the level, or after it, from below the next level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from diffloom.process import Course, Level, Posterior


@dataclass(frozen=True)
class Churn:
    """Noise before each step (Karras et al. 2022, algorithm 2, lines 4 to 6).

    What is raised is sigma/alpha, so that the paper's algorithm runs with any schedule: its x is our x/alpha.
    """

    s_churn: float = 0.0
    """How much, shared between the steps; 0 is none."""
    s_min: float = 0.0
    """Levels of smaller sigma/alpha are left as they are."""
    s_max: float | None = None
    """Levels of larger sigma/alpha are left as they are; None for no bound."""
    s_noise: float = 1.0
    """How many times as strong as exact the noise is."""

    def raised(self, level: Level, course: Course) -> tuple[Level, float]:
        """The noisier level to step from, and the std of what is added to x_t, scaled to its alpha, to get there.

        Pure noise cannot become noisier: it stays. Any other level may be raised beyond the schedule's noisiest, whose
        time the network is then shown, though x is noisier.
        """
        bound = math.inf if self.s_max is None else self.s_max
        if self.s_churn == 0 or level.alpha == 0 or not self.s_min <= level.ratio <= bound:
            return level, 0.0
        gamma = min(self.s_churn / (len(course.levels) - 1), math.sqrt(2) - 1)  # line 4
        higher = course.at(level.log_snr - 2 * math.log1p(gamma))  # line 5: sigma/alpha grows by 1 + gamma
        return higher, self.s_noise * higher.alpha * level.ratio * math.sqrt(gamma * (2 + gamma))  # line 6


@dataclass(frozen=True)
class Ancestry:
    """Noise after each step: `eta` times as strong as ancestral sampling's (Song et al. 2020, eq. 16)."""

    eta: float = 0.0
    """0 adds none; 1 as much as the posterior q(x_s | x_t, x₀) has."""
    s_noise: float = 1.0
    """How many times as strong as exact the noise is, without a cleaner landing to make up for it."""

    def landing(self, level: Level, next_level: Level) -> tuple[Level, float]:
        """Where the step lands, cleaner than the next level and of its alpha, and the std of what is added there."""
        if self.eta == 0:
            return next_level, 0.0
        spread = self.eta**2 * Posterior.between(level, next_level).variance
        cleaner = replace(next_level, sigma=math.sqrt(next_level.sigma**2 - spread))
        return cleaner, self.s_noise * math.sqrt(spread)

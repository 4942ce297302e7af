"""Samplers that may add noise before a step, as components."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import NonNegativeFloat

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from diffloom_samplers.dpm_solver import DPMSolver2S
    from diffloom_samplers.euler import Euler
    from diffloom_samplers.fresh_noise import Churn
    from diffloom_samplers.heun import Heun


class ChurnedSampler(Sampler):
    """A solver of the probability flow that can be stirred (Karras et al. 2022, algorithm 2)."""

    ends_early: ClassVar[bool] = True
    solver_order: ClassVar[int]
    """Its order without noise."""

    s_churn: NonNegativeFloat = 0.0
    """How much noise is added before steps, shared between them; 0 is deterministic.

    At the first levels it can lead beyond the schedule's noisiest, where the network is shown the nearest time that it
    knows and errs. Samples of a mixture by heun, 10 steps, epsilon, were 2e-4 off for it with `linear`, 3e-2 with
    `laplace` and worthless with `cosine`; 40 steps leave less than a hundredth of that. `s_max` keeps clear of it.
    """
    s_min: NonNegativeFloat = 0.0
    """Smallest sigma/alpha at which noise is added."""
    s_max: NonNegativeFloat | None = None
    """Largest sigma/alpha at which noise is added; null for all.

    Up to the schedule's largest divided by 1 + s_churn/steps (by √2 at most) no level is raised beyond the noisiest.
    """
    s_noise: NonNegativeFloat = 1.0
    """How many times as strong as exact the noise is; the paper takes up to 1.007 against lost detail."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Self]:
        """Without noise, and with noise at the levels in the middle."""
        return (cls(), cls(s_churn=20.0, s_min=0.05, s_max=20.0))

    @property
    def order(self) -> int | None:
        """The solver's, unless noise is added."""
        return None if self.stochastic else self.solver_order

    @property
    def stochastic(self) -> bool:
        """Where s_churn is above 0."""
        return self.s_churn > 0

    @property
    def churn(self) -> Churn:
        """The noise, ready for a walk."""
        from diffloom_samplers.fresh_noise import Churn

        return Churn(s_churn=self.s_churn, s_min=self.s_min, s_max=self.s_max, s_noise=self.s_noise)


class EulerSampler(ChurnedSampler):
    """Euler's method (Karras et al. 2022); without churn it is ddim."""

    name = "euler"
    equation: ClassVar[str] = "x_s = α_s·x̂₀ + σ_s·ε̂"
    solver_order: ClassVar[int] = 1

    def build(self) -> Euler:
        """The walk."""
        from diffloom_samplers.euler import Euler

        return Euler(churn=self.churn)


class HeunSampler(ChurnedSampler):
    """Heun's method, EDM's own sampler (Karras et al. 2022, algorithm 2)."""

    name = "heun"
    equation: ClassVar[str] = "x_s = α_s·(y + (r_s − r)·½(ε̂ + ε̂_s)), y = x_t/α, r = σ/α"
    solver_order: ClassVar[int] = 2

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> Heun:
        """The walk."""
        from diffloom_samplers.heun import Heun

        return Heun(churn=self.churn)


class DPM2Sampler(ChurnedSampler):
    """k-diffusion's DPM-2: the slope halfway in log sigma, as DPM-Solver-2 (Lu et al. 2022), with churn."""

    name = "dpm2"
    equation: ClassVar[str] = "x_s = α_s·(y + (r_s − r)·ε̂ halfway in log r), y = x_t/α, r = σ/α"
    solver_order: ClassVar[int] = 2

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> DPMSolver2S:
        """The walk."""
        from diffloom_samplers.dpm_solver import DPMSolver2S

        return DPMSolver2S(churn=self.churn)

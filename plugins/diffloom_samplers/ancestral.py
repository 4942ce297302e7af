"""Samplers that add noise after a step, as components."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, NonNegativeFloat

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from diffloom_samplers.dpm_solver import DPMSolver2S
    from diffloom_samplers.dpmpp import DPMPP2S
    from diffloom_samplers.euler import Euler
    from diffloom_samplers.fresh_noise import Ancestry


class AncestralSampler(Sampler):
    """A solver whose steps go too far, and back by fresh noise (k-diffusion's ancestral samplers)."""

    ends_early: ClassVar[bool] = True
    solver_order: ClassVar[int]
    """Its order without noise."""

    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Strength of the noise: 0 is deterministic, 1 what the posterior of the data asks for."""
    s_noise: NonNegativeFloat = 1.0
    """How many times as strong as exact the noise is."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Self]:
        """With noise, and without."""
        return (cls(), cls(eta=0.0))

    @property
    def order(self) -> int | None:
        """The solver's, unless noise is added."""
        return None if self.stochastic else self.solver_order

    @property
    def stochastic(self) -> bool:
        """Unless eta is 0."""
        return self.eta > 0

    @property
    def ancestry(self) -> Ancestry:
        """The noise, ready for a walk."""
        from diffloom_samplers.fresh_noise import Ancestry

        return Ancestry(eta=self.eta, s_noise=self.s_noise)


class EulerAncestralSampler(AncestralSampler):
    """Euler's method with ancestral noise (k-diffusion); with s_noise 1 it is ddim of the same eta."""

    name = "euler_ancestral"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂, landing cleaner by ς;  x_s += {s_noise}·ς·z, ς = {eta}·√β̃"
    )
    solver_order: ClassVar[int] = 1

    def build(self) -> Euler:
        """The walk."""
        from diffloom_samplers.euler import Euler

        return Euler(ancestry=self.ancestry)


class DPM2AncestralSampler(AncestralSampler):
    """DPM-2 with ancestral noise (k-diffusion)."""

    name = "dpm2_ancestral"
    equation: ClassVar[str] = (
        "x_s = α_s·(y + (r_s − r)·ε̂ halfway in log r), landing cleaner by ς;  x_s += {s_noise}·ς·z, "
        "ς = {eta}·√β̃"
    )
    solver_order: ClassVar[int] = 2

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> DPMSolver2S:
        """The walk."""
        from diffloom_samplers.dpm_solver import DPMSolver2S

        return DPMSolver2S(ancestry=self.ancestry)


class DPMPP2SAncestralSampler(AncestralSampler):
    """DPM-Solver++(2S) with ancestral noise (k-diffusion)."""

    name = "dpmpp_2s_ancestral"
    solver_order: ClassVar[int] = 2

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> DPMPP2S:
        """The walk."""
        from diffloom_samplers.dpmpp import DPMPP2S

        return DPMPP2S(ancestry=self.ancestry)

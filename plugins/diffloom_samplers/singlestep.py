"""DPM-Solver and DPM-Solver++ in single steps, as components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from diffloom_samplers.dpm_solver import DPMSolver2S, DPMSolver3S
    from diffloom_samplers.dpmpp import DPMPP2S

Share = Annotated[float, Field(gt=0, lt=1)]


class DPMSolver2SSampler(Sampler):
    """DPM-Solver-2 (Lu et al. 2022, algorithm 1): second order, two calls a step."""

    name = "dpm_solver_2s"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + a multiple of how ε̂ changes up to {r1} of the step in log(α/σ)"
    )
    ends_early: ClassVar[bool] = True

    r1: Share = 0.5
    """Where in log(alpha/sigma) between a step's ends the second call is."""

    @property
    def order(self) -> int:
        """2."""
        return 2

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> DPMSolver2S:
        """The walk."""
        from diffloom_samplers.dpm_solver import DPMSolver2S

        return DPMSolver2S(r1=self.r1)


class DPMSolver3SSampler(Sampler):
    """DPM-Solver-3 (Lu et al. 2022, algorithm 2): third order, three calls a step."""

    name = "dpm_solver_3s"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + a multiple of how ε̂ changes up to {r1} and {r2} of the step in log(α/σ)"
    )
    ends_early: ClassVar[bool] = True

    r1: Share = 1 / 3
    """Where in log(alpha/sigma) between a step's ends the second call is."""
    r2: Share = 2 / 3
    """Where the third call is."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.r1 >= self.r2:
            raise ValueError(
                f"the third call comes after the second: r2 {self.r2:g} is not above r1 {self.r1:g}"
            )
        return self

    @property
    def order(self) -> int:
        """3."""
        return 3

    def calls(self, steps: int) -> int:
        """Three a step, and one into the clean level."""
        return 3 * steps - 2

    def build(self) -> DPMSolver3S:
        """The walk."""
        from diffloom_samplers.dpm_solver import DPMSolver3S

        return DPMSolver3S(r1=self.r1, r2=self.r2)


class DPMPP2SSampler(Sampler):
    """DPM-Solver++(2S) (Lu et al. 2022b, algorithm 1): second order in x₀, two calls a step."""

    name = "dpmpp_2s"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + a multiple of how x̂₀ changes up to {r1} of the step in log(α/σ)"
    )
    ends_early: ClassVar[bool] = True

    r1: Share = 0.5
    """Where in log(alpha/sigma) between a step's ends the second call is."""

    @property
    def order(self) -> int:
        """2."""
        return 2

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> DPMPP2S:
        """The walk."""
        from diffloom_samplers.dpmpp import DPMPP2S

        return DPMPP2S(r1=self.r1)

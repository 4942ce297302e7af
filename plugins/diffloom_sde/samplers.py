"""Solvers of the reverse SDE, and LCM, as a YAML file names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from diffloom.kinds import ImageInfo, Sampler, Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from diffloom_sde.dpmpp import DPMpp2MSDE, DPMpp3MSDE
    from diffloom_sde.dpmpp_single import DPMppSDE
    from diffloom_sde.lcm import LCM
    from diffloom_sde.sa_solver import SASolver


class SDESampler(Sampler):
    """A solver of the reverse SDE, whose noise is one path for each sample, whatever the steps."""

    ends_early: ClassVar[bool] = True
    solver_order: ClassVar[int]
    """Its order without noise."""

    eta: NonNegativeFloat = 1.0
    """Rate at which noise is renewed: 0 is the probability flow, 1 the reverse SDE of Song et al. 2021."""
    s_noise: NonNegativeFloat = 1.0
    """How many times as strong as exact the noise is."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(eta=0.0))

    @property
    def order(self) -> int | None:
        """The solver's, where it solves the probability flow."""
        return self.solver_order if self.eta == 0 else None

    @property
    def stochastic(self) -> bool:
        """Unless eta or s_noise is 0."""
        return self.eta > 0 and self.s_noise > 0


class DPMppSDESampler(SDESampler):
    """SDE-DPM-Solver++ with a look ahead in each step: k-diffusion's `sample_dpmpp_sde`, "DPM++ SDE"."""

    name = "dpmpp_sde"
    solver_order: ClassVar[int] = 2

    eta: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Strength of the noise: 0 is deterministic, 1 what the posterior of the data asks for."""
    r: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How far ahead it looks, as a share of the step in log-SNR; from pure noise, in SNR."""

    def calls(self, steps: int) -> int:
        """Two a step, and one into the clean level."""
        return 2 * steps - 1

    def build(self) -> DPMppSDE:
        """The walk."""
        from diffloom_sde.dpmpp_single import DPMppSDE

        return DPMppSDE(eta=self.eta, s_noise=self.s_noise, r=self.r)


class DPMpp2MSDESampler(SDESampler):
    """SDE-DPM-Solver++(2M) (Lu et al. 2022b): "DPM++ 2M SDE"."""

    name = "dpmpp_2m_sde"
    solver_order: ClassVar[int] = 2

    solver_type: Literal["midpoint", "heun"] = "midpoint"
    """Whether the line through the last two x₀ is read halfway or integrated; without noise both are of order 2."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_type="heun", eta=0.0))

    def build(self) -> DPMpp2MSDE:
        """The walk."""
        from diffloom_sde.dpmpp import DPMpp2MSDE

        return DPMpp2MSDE(eta=self.eta, s_noise=self.s_noise, solver_type=self.solver_type)


class DPMpp3MSDESampler(SDESampler):
    """SDE-DPM-Solver++(3M): "DPM++ 3M SDE"."""

    name = "dpmpp_3m_sde"

    solver_type: Literal["taylor", "published"] = "taylor"
    """`published` is k-diffusion's formula, whose square term counts half: for its very images."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_type="published", eta=0.0))

    @property
    def order(self) -> int | None:
        """3, or 2 as published, where it solves the probability flow."""
        return {"taylor": 3, "published": 2}[self.solver_type] if self.eta == 0 else None

    def build(self) -> DPMpp3MSDE:
        """The walk."""
        from diffloom_sde.dpmpp import DPMpp3MSDE

        return DPMpp3MSDE(eta=self.eta, s_noise=self.s_noise, solver_type=self.solver_type)


class SASolverSampler(Sampler):
    """SA-Solver, stochastic Adams (Xue et al. 2023): a predictor and a corrector, one call a step."""

    name = "sa_solver"
    ends_early: ClassVar[bool] = True

    predictor_order: Annotated[int, Field(ge=1, le=4)] = 2
    """How many predictions make a step; 3 for unconditional models, 2 under guidance."""
    corrector_order: Annotated[int, Field(ge=0, le=4)] = 2
    """How many predictions make a corrected step, that at its end included; 0 does not correct."""
    tau: NonNegativeFloat = 1.0
    """τ: 0 is the probability flow, 1 the reverse SDE of Song et al. 2021."""
    s_min: NonNegativeFloat = 0.0
    """Smallest sigma/alpha at which τ is not 0."""
    s_max: NonNegativeFloat | None = None
    """Largest sigma/alpha at which τ is not 0; null for all."""
    lower_order_final: bool = True
    """Let the order fall to 1 at the end of every walk."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        third = cls(corrector_order=3, tau=0.0)
        return (cls(), cls(tau=0.8, s_min=0.05, s_max=1.0, corrector_order=0), cls(tau=0.0), third)

    @property
    def order(self) -> int | None:
        """The corrector's, or one more than the predictor's where that is less, unless noise is added.

        At most 3 where the order falls at the end, since the last step but one is of order 2.
        """
        if self.stochastic:
            return None
        corrected = min(self.corrector_order, self.predictor_order + 1)
        return min(corrected or self.predictor_order, 3 if self.lower_order_final else 4)

    @property
    def stochastic(self) -> bool:
        """Unless tau is 0."""
        return self.tau > 0

    def build(self) -> SASolver:
        """The walk."""
        from diffloom_sde.sa_solver import SASolver

        return SASolver(
            predictor_order=self.predictor_order,
            corrector_order=self.corrector_order,
            tau=self.tau,
            s_min=self.s_min,
            s_max=self.s_max,
            lower_order_final=self.lower_order_final,
        )


class LCMSampler(Sampler):
    """Consistency models in a few steps (Song et al. 2023; Luo et al. 2023): each step's x₀ is noised afresh."""

    name = "lcm"
    equation: ClassVar[str] = "x_s = α_s·x̂₀ + σ_s·z"
    ends_early: ClassVar[bool] = True
    distilled: ClassVar[bool] = True

    boundary: PositiveFloat | None = None
    """Scale of time in the paper's c_skip and c_out, 10 in its code; null takes x₀ as it is, which from time 10 of 1000
    on is the same to 3·10⁻⁵. With it, walks cannot visit time 0."""

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def check(self, *, image: ImageInfo, schedule: Schedule, times: Sequence[float]) -> None:
        """Raise ValueError where boundary scalings have no times of a table to scale, or time 0 is among them."""
        if self.boundary is None:
            return
        if schedule.axis.count is None:
            raise ValueError(
                f"boundary scalings count time in steps of a table, and {schedule.canonical} has none; set "
                "boundary: null"
            )
        require_times_from_1(times)

    def build(self) -> LCM:
        """The walk."""
        from diffloom_sde.lcm import LCM

        return LCM(boundary=self.boundary)


def require_times_from_1(times: Sequence[float]) -> None:
    """Raise ValueError where boundary scalings would hand x_t back as the answer."""
    for time in times:
        if time < 1:
            raise ValueError(
                f"boundary scalings hand back x_t itself at time {time:g}, its noise included; take later times, as "
                "spacing: trailing does, or set boundary: null"
            )

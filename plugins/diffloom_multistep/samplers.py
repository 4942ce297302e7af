"""The samplers a YAML file can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_multistep.adams import IPNDM, PLMS
    from diffloom_multistep.deis import DEIS
    from diffloom_multistep.dpmpp import DPMpp2M, DPMpp3M
    from diffloom_multistep.lms import LMS
    from diffloom_multistep.unipc import UniPC


class LMSSampler(Sampler):
    """Linear multistep over sigma/alpha: k-diffusion's `sample_lms`, the ρAB-DEIS of Zhang & Chen 2022."""

    name = "lms"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through the last "
        "{solver_order} ε̂ over σ/α"
    )
    ends_early: ClassVar[bool] = True

    solver_order: Literal[1, 2, 3, 4] = 4
    """How many predictions make a step; the first steps have fewer."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_order=2))

    @property
    def order(self) -> int:
        """`solver_order`: the first steps have less, but are taken where the flow is almost straight."""
        return self.solver_order

    def build(self) -> LMS:
        """The walk."""
        from diffloom_multistep.lms import LMS

        return LMS(order=self.solver_order)


class PLMSSampler(Sampler):
    """Pseudo linear multistep (Liu et al. 2022) as latent-diffusion's PLMS: the default of Stable Diffusion 1."""

    name = "plms"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through the last "
        "4 ε̂, as if steps were equal"
    )
    ends_early: ClassVar[bool] = True

    @property
    def order(self) -> int:
        """2, as Liu et al. 2022 prove: its weights of fourth order are those of evenly spaced sigma/alpha."""
        return 2

    def calls(self, steps: int) -> int:
        """One more than steps: the first is taken twice, unless it is the last."""
        return steps + 1 if steps > 1 else 1

    def build(self) -> PLMS:
        """The walk."""
        from diffloom_multistep.adams import PLMS

        return PLMS()


class IPNDMSampler(Sampler):
    """Improved PNDM (Zhang & Chen 2022): PLMS that starts with fewer predictions instead of more calls."""

    name = "ipndm"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through the last "
        "{solver_order} ε̂, as if steps were equal"
    )
    ends_early: ClassVar[bool] = True

    solver_order: Literal[1, 2, 3, 4] = 4
    """How many predictions make a step; the first steps have fewer."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_order=2))

    @property
    def order(self) -> int:
        """At most 2: its weights are those of evenly spaced sigma/alpha."""
        return min(self.solver_order, 2)

    def build(self) -> IPNDM:
        """The walk."""
        from diffloom_multistep.adams import IPNDM

        return IPNDM(order=self.solver_order)


class DEISSampler(Sampler):
    """Diffusion exponential integrator (Zhang & Chen 2022): ε along a polynomial, integrated exactly."""

    name = "deis"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through the last "
        "{solver_order} ε̂ over {variable}"
    )
    ends_early: ClassVar[bool] = True

    solver_order: Literal[1, 2, 3, 4] = 3
    """How many predictions make a step; the first steps have fewer."""
    variable: Literal["log_rho", "time"] = "log_rho"
    """What the polynomial is in: log(sigma/alpha), as in diffusers, or the schedule's time, the paper's tAB-DEIS.

    With `time`, levels far from even in it are refused as a walk begins: up to 1e5 times as far off as ddim.
    """
    lower_order_final: bool = True
    """Let the order fall to 1 at the end of walks of fewer than 15 steps, where the polynomial reaches too far."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_order=2, variable="time", lower_order_final=False))

    @property
    def order(self) -> int:
        """`solver_order`."""
        return self.solver_order

    def build(self) -> DEIS:
        """The walk."""
        from diffloom_multistep.deis import DEIS

        return DEIS(order=self.solver_order, variable=self.variable, lower_order_final=self.lower_order_final)


class DPMpp2MSampler(Sampler):
    """DPM-Solver++(2M) (Lu et al. 2022b): second order, one call a step."""

    name = "dpmpp_2m"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through the last "
        "2 x̂₀ over log(α/σ)"
    )
    ends_early: ClassVar[bool] = True

    solver_type: Literal["midpoint", "heun"] = "midpoint"
    """How the line through two predictions is integrated: read at half the step as published, or exactly."""
    lower_order_final: bool = True
    """Let the order fall to 1 at the end of walks of fewer than 15 steps; into the clean level it always does."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_type="heun", lower_order_final=False))

    @property
    def order(self) -> int:
        """2."""
        return 2

    def build(self) -> DPMpp2M:
        """The walk."""
        from diffloom_multistep.dpmpp import DPMpp2M

        return DPMpp2M(solver_type=self.solver_type, lower_order_final=self.lower_order_final)


class DPMpp3MSampler(Sampler):
    """DPM-Solver++(3M): third order, one call a step."""

    name = "dpmpp_3m"
    equation: ClassVar[str] = (
        "x_s = α_s·x̂₀ + σ_s·ε̂ + Σ w_j·(past_j − now), w integrating a polynomial through the last "
        "3 x̂₀ over log(α/σ)"
    )
    ends_early: ClassVar[bool] = True

    solver_type: Literal["taylor", "published"] = "taylor"
    """`published` is the formula of the authors' code, whose square term counts half: for their very images."""
    lower_order_final: bool = True
    """Let the order fall to 1 at the end of walks of fewer than 15 steps; into the clean level it always does."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_type="published", lower_order_final=False))

    @property
    def order(self) -> int:
        """3, or 2 as published."""
        return 3 if self.solver_type == "taylor" else 2

    def build(self) -> DPMpp3M:
        """The walk."""
        from diffloom_multistep.dpmpp import DPMpp3M

        return DPMpp3M(solver_type=self.solver_type, lower_order_final=self.lower_order_final)


class UniPCSampler(Sampler):
    """Unified predictor-corrector (Zhao et al. 2023): each call also corrects the step before."""

    name = "unipc"
    ends_early: ClassVar[bool] = True

    solver_order: Literal[1, 2, 3] = 2
    """The predictor's order; the corrector's is one more. 3 for unconditional models, 2 under guidance."""
    solver_type: Literal["bh1", "bh2"] = "bh2"
    """The paper's B(h), h or e^h − 1; it matters in predictors of order 2 and correctors of order 1 only."""
    lower_order_final: bool = True
    """Let the order fall to 1 at the end of every walk."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(solver_type="bh1", lower_order_final=False))

    @property
    def order(self) -> int:
        """One more than the predictor's."""
        return self.solver_order + 1

    def build(self) -> UniPC:
        """The walk."""
        from diffloom_multistep.unipc import UniPC

        return UniPC(
            order=self.solver_order, solver_type=self.solver_type, lower_order_final=self.lower_order_final
        )

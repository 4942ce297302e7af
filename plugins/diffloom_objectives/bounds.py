"""The objectives that hold the variational bound. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat, model_validator

from diffloom.kinds import Default, Objective, Schedule, Space, Timing, Variance
from diffloom_objectives.objectives import NoisedObjective
from diffloom_objectives.timings import UniformTiming

if TYPE_CHECKING:
    from typing import Self

    from diffloom_objectives.variational_bound import Hybrid, VariationalBound

Bins = Annotated[int, Field(ge=2)]


class VariationalBoundObjective(Objective):
    """The variational bound on −log p(x₀) in bits per dimension, estimated from one time for each example.

    Where the schedule counts its times it is L_vlb of Ho et al. 2020, eq. 5, and trains fixed and learned variances;
    elsewhere the bound in continuous time of Kingma et al. 2021, which trains a learned schedule too.
    """

    name = "variational_bound"
    equation: ClassVar[str] = "L = L_T + Σ D(q(x_s | x_t, x₀) ‖ p(x_s | x_t)) − E log p(x₀ | x₁)"
    trains_variance: ClassVar[bool] = True

    timing: Annotated[Timing, Default("uniform")] = UniformTiming()
    """How times are drawn: evenly, or unevenly with a factor that makes up for it, as second_moment does."""
    bins: Bins | None = 256
    """How many values a pixel has, evenly from −1 to 1; null for latents, which are not quantised."""

    @model_validator(mode="after")
    def _stays_a_bound(self) -> Self:
        if not self.timing.unbiased:
            raise ValueError(
                f"{self.timing.name} draws some times more often than others on purpose, and what it makes is no "
                "bound; take timing: uniform, stratified or second_moment"
            )
        return self

    def check(self, *, schedule: Schedule, variance: Variance, space: Space) -> None:
        require_steps(schedule, variance)
        require_values(self.bins, space)

    def build(self) -> VariationalBound:
        """The loss."""
        from diffloom_objectives.noising import Noising
        from diffloom_objectives.pairs import Independent
        from diffloom_objectives.variational_bound import VariationalBound

        return VariationalBound(
            Noising(times=self.timing.build(), pair=Independent()),
            bins=self.bins,
            self_conditioning=self.self_conditioning,
        )


class HybridObjective(NoisedObjective):
    """L_simple + λ·L_vlb: the bound trains a learned variance alone (Nichol & Dhariwal 2021, eq. 16)."""

    name = "hybrid"
    equation: ClassVar[str] = (
        "L = E w(t)·‖F(x_t, t, c) − target‖² + {bound_weight}·L_vlb, for the variance alone"
    )
    trains_variance: ClassVar[bool] = True

    bound_weight: PositiveFloat = 0.001
    """λ, of the bound in bits per dimension."""
    bins: Bins | None = 256
    """How many values a pixel has, evenly from −1 to 1; null for latents, which are not quantised."""

    def check(self, *, schedule: Schedule, variance: Variance, space: Space) -> None:
        super().check(schedule=schedule, variance=variance, space=space)
        if not variance.learned:
            raise ValueError(
                f"hybrid adds the bound to train a learned variance, and {variance.canonical} is fixed: it would add "
                "nothing; take objective: simple, or variance: learned_range with backbone.learn_variance: true"
            )
        require_steps(schedule, variance)
        require_values(self.bins, space)

    def build(self) -> Hybrid:
        """The loss."""
        from diffloom_objectives.variational_bound import Hybrid

        return Hybrid(
            self.noising(),
            weigh=self.weighting.build(),
            bound_weight=self.bound_weight,
            bins=self.bins,
            self_conditioning=self.self_conditioning,
        )


def require_steps(schedule: Schedule, variance: Variance) -> None:
    """Raises ValueError for a variance that is learned, of steps that nobody has counted."""
    if variance.learned and schedule.axis.count is None:
        raise ValueError(
            f"a variance is learned for the T steps of a schedule, and {schedule.canonical} has times without number; "
            "take a fixed variance, or a schedule that counts its times, such as cosine"
        )


def require_values(bins: int | None, space: Space) -> None:
    """Raises ValueError where pixels are counted that are none."""
    if bins is not None and not space.lossless:
        raise ValueError(
            f"the decoder's term takes x₀ for pixels of {bins} values, and {space.canonical} makes latents, which "
            "have no such values; set bins: null"
        )

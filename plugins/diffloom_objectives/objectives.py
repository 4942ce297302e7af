"""The objectives a YAML file can name. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat

from diffloom.kinds import Default, Objective, Pairing, Schedule, Space, Timing, Variance, Weighting
from diffloom_objectives.pairings import IndependentPairing
from diffloom_objectives.timings import StratifiedTiming, UniformTiming
from diffloom_objectives.weightings import MinSNRWeighting, UniformWeighting

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from diffloom_objectives.noising import Noising
    from diffloom_objectives.regression import Penalty, Regression


class NoisedObjective(Objective):
    """What all say that compare the prediction with its target."""

    weighting: Annotated[Weighting, Default("uniform")] = UniformWeighting()
    """How much each noise level counts."""
    timing: Annotated[Timing, Default("uniform")] = UniformTiming()
    """How times are drawn."""
    pairing: Annotated[Pairing, Default("independent")] = IndependentPairing()
    """Which noise meets which example."""
    offset_noise: NonNegativeFloat = 0.0
    """Standard deviation of noise that is the same for all pixels of a channel, added to each pixel's own, so that a
    model learns to move the mean (Guttenberg 2023, who takes 0.1). It is asked for like the rest."""
    input_perturbation: NonNegativeFloat = 0.0
    """γ: noise in x_t that the network is not asked for, as a share of sigma: it trains on inputs that are off, as
    those of a walk are (Ning et al. 2023, who take 0.1)."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        """As it is, and with other parts."""
        return (cls(), cls(weighting=MinSNRWeighting(), timing=StratifiedTiming(strata=4)))

    def check(self, *, schedule: Schedule, variance: Variance, space: Space) -> None:
        super().check(schedule=schedule, variance=variance, space=space)
        self.weighting.check(variance=variance)

    def noising(self) -> Noising:
        """Draws times and noise as the fields say."""
        from diffloom_objectives.noising import Noising

        return Noising(
            times=self.timing.build(),
            pair=self.pairing.build(),
            offset_noise=self.offset_noise,
            input_perturbation=self.input_perturbation,
        )

    def regression(self, penalty: Penalty) -> Regression:
        """The loss with this cost of an error."""
        from diffloom_objectives.regression import Regression

        return Regression(
            penalty,
            self.noising(),
            weigh=self.weighting.build(),
            self_conditioning=self.self_conditioning,
        )


class SimpleObjective(NoisedObjective):
    """The squared error of what is predicted: L_simple, as it is (Ho et al. 2020, eq. 14)."""

    name = "simple"
    equation: ClassVar[str] = "L = E w(t)·‖F(x_t, t, c) − target‖² over x₀, t and ε"

    def build(self) -> Regression:
        """The loss."""
        from diffloom_objectives.regression import squared

        return self.regression(squared)


class LpObjective(NoisedObjective):
    """The error's absolute value to the power p, of what is predicted (Saharia et al. 2022 compare p = 1 and 2)."""

    name = "lp"
    equation: ClassVar[str] = "L = E w(t)·Σ |F(x_t, t, c) − target|^{p} over x₀, t and ε"

    p: Annotated[float, Field(ge=1)] = 1.0
    """The power: 1 finds medians where 2 finds means."""

    def build(self) -> Regression:
        """The loss."""
        from diffloom_objectives.regression import Power

        return self.regression(Power(self.p))


class HuberObjective(NoisedObjective):
    """Squared for small errors, straight for large ones: 2δ·(√(d² + δ²) − δ) (Charbonnier et al. 1997)."""

    name = "huber"
    equation: ClassVar[str] = "L = E w(t)·Σ 2δ·(√(d² + δ²) − δ), d = F(x_t, t, c) − target, δ = {delta}"

    delta: PositiveFloat = 0.1
    """δ, the error at which the one becomes the other."""

    def build(self) -> Regression:
        """The loss."""
        from diffloom_objectives.regression import PseudoHuber

        return self.regression(PseudoHuber(self.delta))

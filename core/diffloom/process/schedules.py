"""The schedules a YAML file can name by their one-step variances β₁ … β_T; others: `signal_schedules`."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis

if TYPE_CHECKING:
    from diffloom.process.schedule import TableSchedule

Fraction = Annotated[float, Field(gt=0, lt=1)]


class BetaSchedule(Schedule):
    """A schedule given by its one-step variances."""

    steps: PositiveInt = 1000
    """T: how many noise levels the model is trained on."""

    @property
    def axis(self) -> TimeAxis:
        """The table's indices."""
        return TimeAxis.table(self.steps)

    @abstractmethod
    def betas(self) -> list[float]:
        """β₁ … β_T."""

    def build(self, *, space: SpaceInfo | None = None) -> TableSchedule:
        """The tables in float64. Raises ValueError when ᾱ falls so fast that it underflows."""
        from diffloom.process.schedule import TableSchedule

        return TableSchedule.from_betas(self.betas())


class LinearSchedule(BetaSchedule):
    """β rises linearly (Ho et al. 2020, section 4).

    The ends are those of T = 1000 and are not rescaled for another T; guided-diffusion multiplies both by
    1000/T. latent-diffusion calls this `sqrt_linear`.
    """

    name = "linear"
    equation: ClassVar[str] = (
        "β from {beta_start} to {beta_end} in a straight line;  ᾱ = ∏(1 − β);  α = √ᾱ, σ = √(1 − ᾱ)"
    )

    beta_start: Fraction = 1e-4
    """β₁."""
    beta_end: Fraction = 2e-2
    """β_T."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        return _linspace(self.beta_start, self.beta_end, self.steps)


class ScaledLinearSchedule(BetaSchedule):
    """√β rises linearly: latent-diffusion and Stable Diffusion (Rombach et al. 2022).

    latent-diffusion and sgm call this one `linear`.
    """

    name = "scaled_linear"
    equation: ClassVar[str] = (
        "√β from √{beta_start} to √{beta_end} in a straight line;  ᾱ = ∏(1 − β);  α = √ᾱ, σ = √(1 − ᾱ)"
    )

    beta_start: Fraction = 0.00085
    """β₁."""
    beta_end: Fraction = 0.012
    """β_T."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        roots = _linspace(math.sqrt(self.beta_start), math.sqrt(self.beta_end), self.steps)
        return [root * root for root in roots]


class SqrtSchedule(BetaSchedule):
    """β rises as the root of a line: latent-diffusion's `sqrt`.

    Others call so 1 − √t on ᾱ (Li et al. 2022, Diffusion-LM). Not to be taken for `scaled_linear`, the line of roots.
    """

    name = "sqrt"
    equation: ClassVar[str] = (
        "β² from {beta_start}² to {beta_end}² in a straight line;  ᾱ = ∏(1 − β);  α = √ᾱ, σ = √(1 − ᾱ)"
    )

    beta_start: Fraction = 1e-4
    """β₁²."""
    beta_end: Fraction = 2e-2
    """β_T²."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        return [math.sqrt(square) for square in _linspace(self.beta_start, self.beta_end, self.steps)]


class SigmoidBetaSchedule(BetaSchedule):
    """β rises as a sigmoid between its ends (Xu et al. 2022, GeoDiff). diffusers and MONAI call this `sigmoid`."""

    name = "sigmoid_beta"

    beta_start: Fraction = 1e-4
    """Where β comes from."""
    beta_end: Fraction = 2e-2
    """Where β goes to."""
    reach: PositiveFloat = 6.0
    """The sigmoid is taken from −reach to reach."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        rise = self.beta_end - self.beta_start
        places = _linspace(-self.reach, self.reach, self.steps)
        return [self.beta_start + rise / (1 + math.exp(-place)) for place in places]


class ConstantSchedule(BetaSchedule):
    """β is the same at every step. DiT and SiT's copies of guided-diffusion call this `const`."""

    name = "constant"
    equation: ClassVar[str] = "β = {beta};  ᾱ = ∏(1 − β);  α = √ᾱ, σ = √(1 − ᾱ)"

    beta: Fraction = 0.01
    """β."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        return [self.beta] * self.steps


def _linspace(start: float, end: float, count: int) -> list[float]:
    """`count` evenly spaced numbers, both ends included; a single one is `start`."""
    step = (end - start) / max(count - 1, 1)
    return [start + step * i for i in range(count)]

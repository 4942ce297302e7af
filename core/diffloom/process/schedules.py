"""The schedules a YAML file can name, as one-step variances β₁ … β_T."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

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

    beta_start: Fraction = 0.00085
    """β₁."""
    beta_end: Fraction = 0.012
    """β_T."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""
        roots = _linspace(math.sqrt(self.beta_start), math.sqrt(self.beta_end), self.steps)
        return [root * root for root in roots]


class CosineSchedule(BetaSchedule):
    """ᾱ falls as a squared cosine (Nichol & Dhariwal 2021, eq. 17)."""

    name = "cosine"

    s: NonNegativeFloat = 0.008
    """Offset that keeps β from vanishing near t = 0."""
    beta_cap: Fraction = 0.999
    """Largest β, which keeps the last steps finite."""

    def betas(self) -> list[float]:
        """β₁ … β_T."""

        def f(u: float) -> float:
            return math.cos((u + self.s) / (1 + self.s) * math.pi / 2) ** 2  # eq. 17

        T = self.steps
        return [min(1 - f((t + 1) / T) / f(t / T), self.beta_cap) for t in range(T)]


def _linspace(start: float, end: float, count: int) -> list[float]:
    """`count` evenly spaced numbers, both ends included; a single one is `start`."""
    step = (end - start) / max(count - 1, 1)
    return [start + step * i for i in range(count)]

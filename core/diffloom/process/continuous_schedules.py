"""The continuous schedules a YAML file can name: all times between two are trained on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis

if TYPE_CHECKING:
    from typing import Self

    from diffloom.process.continuous import VP, Geometric

Unit = Annotated[float, Field(gt=0, lt=1)]


class VPSchedule(Schedule):
    """β(t) rises linearly over continuous times up to 1 (Song et al. 2021, eq. 33): `linear` without a table.

    The same table's ends are β_min/T and (β_min + β_d)/T. score_sde's networks are shown 999·t, EDM's c_noise too.
    """

    name = "vp"
    equation: ClassVar[str] = "−log ᾱ = ½·{beta_d}·t² + {beta_min}·t;  α = √ᾱ, σ = √(1 − ᾱ)"

    beta_d: NonNegativeFloat = 19.9
    """How much β(t) rises from t = 0 to 1."""
    beta_min: PositiveFloat = 0.1
    """β(0)."""
    first: Unit = 1e-3
    """The cleanest time, ε_s: 1e-3 where samples end, 1e-5 where training does (Karras et al. 2022, table 1)."""

    @property
    def axis(self) -> TimeAxis:
        """From `first` to 1."""
        return TimeAxis(self.first, 1.0, None)

    def build(self, *, space: SpaceInfo | None = None) -> VP:
        """The schedule."""
        from diffloom.process.continuous import VP

        return VP(beta_d=self.beta_d, beta_min=self.beta_min, first=self.first)


class GeometricSchedule(Schedule):
    """A schedule that adds noise to unchanged data, from one sigma to another."""

    sigma_min: PositiveFloat
    """The least noise."""
    sigma_max: PositiveFloat
    """The most noise."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_max {self.sigma_max:g} must lie above sigma_min {self.sigma_min:g}")
        return self

    @property
    def _scale(self) -> float:
        """Times are this many ln sigma."""
        return 1.0

    @property
    def axis(self) -> TimeAxis:
        """The times of both ends."""
        first, last = (self._scale * math.log(sigma) for sigma in (self.sigma_min, self.sigma_max))
        return TimeAxis(first, last, None)

    def build(self, *, space: SpaceInfo | None = None) -> Geometric:
        """The schedule."""
        from diffloom.process.continuous import Geometric

        return Geometric(sigma_min=self.sigma_min, sigma_max=self.sigma_max, scale=self._scale)


class VESchedule(GeometricSchedule):
    """Noise added to unchanged data, sigma geometric in time (Song et al. 2021, eq. 30). Time is ln sigma.

    score_sde shows its networks sigma and embeds the logarithm; EDM's c_noise for them is ln(sigma/2).
    """

    name = "ve"
    equation: ClassVar[str] = "α = 1, σ = eᵗ from {sigma_min} to {sigma_max}"

    sigma_min: PositiveFloat = 0.02
    """The least noise."""
    sigma_max: PositiveFloat = 100.0
    """The most noise."""


class EDMSchedule(GeometricSchedule):
    """Noise added to unchanged data (Karras et al. 2022). Time is c_noise = ln(sigma)/4, as its networks are shown."""

    name = "edm"
    equation: ClassVar[str] = "α = 1, σ = e⁴ᵗ from {sigma_min} to {sigma_max}"

    sigma_min: PositiveFloat = 0.002
    """The least noise."""
    sigma_max: PositiveFloat = 80.0
    """The most noise."""

    @property
    def _scale(self) -> float:
        return 0.25

"""Spaces of latents: what brings an autoencoder's numbers to the unit scale that schedules assume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from diffloom.kinds.component import Section
from diffloom.kinds.space import Space
from diffloom.kinds.weighted import Weighted

if TYPE_CHECKING:
    from typing import Self


class Statistics(Section):
    """What `diffloom calibrate` measured on the data, channel by channel, before any scaling."""

    mean: tuple[float, ...]
    """Of each latent channel."""
    std: tuple[PositiveFloat, ...]
    """Of each latent channel."""
    examples: PositiveInt
    """How many pictures were encoded."""
    data: str
    """Digest of these pictures."""

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"{len(self.mean)} means and {len(self.std)} deviations; run `diffloom calibrate` again"
            )
        return self


class LatentSpace(Weighted, Space):
    """An autoencoder's latents, as it gives them or normalised: (latent − shift) · scale, or by `statistics`."""

    scale: Annotated[float, Field(gt=0)] = 1.0
    """Published factor for all channels: 0.18215 for Stable Diffusion, 0.13025 for its XL."""
    shift: float = 0.0
    """Published offset, taken off before scaling."""
    statistics: Statistics | None = None
    """Measured instead of published: every channel by its own mean and deviation. `diffloom calibrate` writes it."""

    @model_validator(mode="after")
    def _one_normalisation(self) -> Self:
        if self.statistics is not None and (self.scale != 1 or self.shift != 0):
            raise ValueError(
                "scale and shift are another normalisation than statistics; leave one of them out"
            )
        return self

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(shift, scale): x = (latent − shift) · scale, one number for each channel, or one for all."""
        if self.statistics is None:
            return (self.shift,), (self.scale,)
        return self.statistics.mean, tuple(1 / std for std in self.statistics.std)

    @property
    def is_normalised(self) -> bool:
        """Whether anything was said of the latents' scale."""
        return self.statistics is not None or self.scale != 1 or self.shift != 0

    def unnormalised(self) -> Self:
        """The same autoencoder, its latents as it gives them."""
        return self.model_copy(update={"scale": 1.0, "shift": 0.0, "statistics": None})

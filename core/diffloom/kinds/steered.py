"""Guidance that may be held to some noise levels, and change over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from diffloom.kinds.guidance import ScaledGuidance

if TYPE_CHECKING:
    from typing import Self

    from diffloom.process import Strength


class SteeredGuidance(ScaledGuidance):
    """A scale that may be held to some noise levels, and change over time."""

    interval: tuple[NonNegativeFloat, PositiveFloat | None] | None = None
    """Where it pulls, as σ = sigma/alpha: above the first and up to the second number, `[0.28, 2.9]`, or from the first
    on, `[0.28, null]` (Kynkäänniemi et al. 2024). Elsewhere it costs nothing. null is everywhere."""
    profile: Literal["constant", "linear", "cosine"] = "constant"
    """What the scale's excess over 1 is multiplied by, over the schedule's times from the noisiest to the cleanest: 1,
    or from 0 to 2 along a line or half a cosine; 1 on average (Wang et al. 2024)."""

    @model_validator(mode="after")
    def _interval_rises(self) -> Self:
        if (
            self.interval is not None
            and self.interval[1] is not None
            and self.interval[0] >= self.interval[1]
        ):
            raise ValueError(f"interval {list(self.interval)} holds no σ; give the lower one first")
        return self

    @property
    def strength(self) -> Strength:
        """The three together."""
        from diffloom.process import Strength

        return Strength(scale=self.scale, interval=self.interval, profile=self.profile)

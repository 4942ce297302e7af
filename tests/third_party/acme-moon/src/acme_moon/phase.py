"""Conditioner `phase`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import PositiveFloat, PositiveInt

from diffloom.kinds import Codec, Conditioner, ConditionInfo, Setting

if TYPE_CHECKING:
    from acme_moon.harmonics import Harmonics


class Phase(Conditioner):
    """A number on a circle (a phase, an hour, an angle), as sines and cosines of its harmonics."""

    name = "phase"

    period: PositiveFloat | PositiveInt = 1.0
    """Where the circle closes: numbers from 0 up to it are taken."""
    harmonics: PositiveInt = 5
    """How many multiples of the ground frequency."""

    def info(self, setting: Setting) -> ConditionInfo:
        """A vector: sine and cosine of each harmonic, and one number that says whether the phase is known."""
        return ConditionInfo(vector=2 * self.harmonics + 1)

    def parse(self, text: str) -> float:
        """A number as text."""
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"phase {text!r} is not a number; give one from 0 to {self.period:g}") from None
        return self.check(number)

    def check(self, raw: Any) -> float:
        """A float in [0, period)."""
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise ValueError(f"phase {raw!r} is not a number; give one from 0 to {self.period:g}")
        if not (math.isfinite(raw) and 0 <= raw < self.period):
            raise ValueError(f"phase {raw} is not from 0 to below {self.period:g}")
        return float(raw)

    def build(self, *, setting: Setting, codec: Codec) -> Harmonics:
        """The encoder."""
        from acme_moon.harmonics import Harmonics

        return Harmonics(period=float(self.period), count=self.harmonics)

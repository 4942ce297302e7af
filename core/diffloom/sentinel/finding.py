"""What the sentinel tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that goes wrong in a run."""

    step: int
    """The optimiser step after which it was noticed."""
    cause: str
    """Its name, one word with hyphens: `ema-frozen`."""
    text: str
    """What was measured, and what to do."""


@dataclass(frozen=True)
class Alarm:
    """What one check sees at one time; whether it is told, and told again, is `Told`'s to decide."""

    cause: str
    text: str
    figure: float
    """How bad it is: above 0, and larger is worse."""
    about: str = ""
    """Which layer, average or condition, where there are several."""

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

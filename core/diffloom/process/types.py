"""The words samplers, guidance and the reverse process share.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from diffloom.kinds import Conversion, NoiseSchedule, ReverseVariance


@dataclass(frozen=True)
class Level:
    """A noise level, in float64: x_t = alpha·x₀ + sigma·ε."""

    t: float
    """Table index; −1 for the clean level."""
    alpha: float
    sigma: float

    @property
    def is_clean(self) -> bool:
        return self.sigma == 0.0


CLEAN = Level(t=-1.0, alpha=1.0, sigma=0.0)
"""No noise left: where walks end, unless sampling says `end: first`."""


@dataclass(frozen=True)
class Denoised:
    """What is known of x_t once the network has seen it; alpha·x0 + sigma·eps = x_t."""

    x0_BCHW: Tensor
    eps_BCHW: Tensor
    variance_BCHW: Tensor | None = None
    """The network's raw variance output, where it has one."""


@dataclass(frozen=True)
class Step:
    """One step of a walk, from `level` to `next_level`."""

    index: int
    """0 for the first."""
    level: Level
    next_level: Level
    x_t_BCHW: Tensor
    """Where the step began."""
    x0_BCHW: Tensor
    """The clean image as predicted from x_t."""
    following_BCHW: Tensor
    """Where the step arrived; the last step's is the sample."""

    @property
    def t(self) -> float:
        """The time the step began at."""
        return self.level.t


@dataclass(frozen=True)
class Process:
    """The mathematics of one model: its schedule, its prediction and its reverse variance."""

    schedule: NoiseSchedule
    prediction: Conversion
    variance: ReverseVariance

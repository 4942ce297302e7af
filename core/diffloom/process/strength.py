"""How strongly a guidance pulls, and where. Legend: B batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.process.types import Level

Profile = Literal["constant", "linear", "cosine"]
PROFILES: dict[Profile, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 2 * (1 - share),
    "cosine": lambda share: 1 + math.cos(math.pi * share),
}
"""Wang et al. 2024 (analysis of guidance weight schedulers): what the scale's excess over 1 is multiplied by,
at a share of the time axis, 0 the cleanest. Each is 1 on average over the axis.
"""


@dataclass(frozen=True)
class Strength:
    """A scale, one for all samples or one for each, in an interval of noise, with a profile over time."""

    scale: float | tuple[float, ...] = 1.0
    interval: tuple[float, float | None] | None = None
    """Where it pulls: at σ = sigma/alpha above the first and up to the second (Kynkäänniemi et al. 2024); None
    is everywhere, and in the second's place no upper end.
    """
    profile: Profile = "constant"

    @property
    def neutral(self) -> bool:
        """Whether the scale is 1 for all."""
        return all(scale == 1 for scale in self._scales)

    def within(self, level: Level) -> bool:
        """Whether the level is in the interval."""
        if self.interval is None:
            return True
        low, high = self.interval
        return low < level.ratio and (high is None or level.ratio <= high)

    def factor(self, level: Level, axis: TimeAxis) -> float:
        """The profile at this level."""
        return PROFILES[self.profile](noise_share(level, axis))

    def excess(self, level: Level, axis: TimeAxis, like_BCHW: Tensor) -> Tensor:
        """(scale − 1)·profile at this level, shaped (B, 1, 1, 1) or (1, 1, 1, 1), in the type and place of `like`."""
        factor = self.factor(level, axis)
        return like_BCHW.new_tensor([factor * (scale - 1) for scale in self._scales]).view(-1, 1, 1, 1)

    def steered(self, like_BCHW: Tensor) -> Tensor:
        """1 for the samples whose scale is not 1, 0 for the others; shaped as `excess` is."""
        return like_BCHW.new_tensor([scale != 1 for scale in self._scales]).view(-1, 1, 1, 1)

    @property
    def _scales(self) -> tuple[float, ...]:
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)


def noise_share(level: Level, axis: TimeAxis) -> float:
    """Where the level lies on the time axis: 0 at the cleanest time, 1 at the noisiest, and at the only one."""
    span = axis.last - axis.first
    return (level.t - axis.first) / span if span else 1.0

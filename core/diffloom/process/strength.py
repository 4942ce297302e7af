"""How strongly a guidance pulls, and where. Legend: B batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import torch
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

    @cached_property
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
        return 1.0 if self.profile == "constant" else PROFILES[self.profile](noise_share(level, axis))

    def excess(self, level: Level, axis: TimeAxis, like_BCHW: Tensor) -> Tensor | float:
        """(scale − 1)·profile at this level: a number, or with a scale for each sample (B, 1, 1, 1) like `like`."""
        factor = self.factor(level, axis)
        if isinstance(self.scale, tuple):
            more = tuple(scale - 1 for scale in self.scale)
            return factor * _column(more, like_BCHW.dtype, like_BCHW.device)
        return factor * (self.scale - 1)

    def steered(self, like_BCHW: Tensor) -> Tensor:
        """1 for the samples whose scale is not 1, 0 for the others, (B, 1, 1, 1) or (1, 1, 1, 1) like `like`."""
        steered = tuple(float(scale != 1) for scale in self._scales)
        return _column(steered, like_BCHW.dtype, like_BCHW.device)

    @property
    def _scales(self) -> tuple[float, ...]:
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)


@lru_cache(maxsize=64)
def _column(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(B, 1, 1, 1), brought to the device once: copying it at every level would wait for the device every time."""
    with torch.inference_mode(mode=False):  # or no later gradient could pass by it
        return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1, 1)


def noise_share(level: Level, axis: TimeAxis) -> float:
    """Where the level lies on the time axis: 0 at the cleanest time, 1 at the noisiest, and at the only one."""
    span = axis.last - axis.first
    return (level.t - axis.first) / span if span else 1.0

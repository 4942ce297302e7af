"""The fresh noise of a walk, made of keyed draws. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from diffloom.process.brownian import BrownianTree, Point
from diffloom.process.noise import Draws
from diffloom.process.types import Level


@dataclass(frozen=True)
class KeyedNoise:
    """`diffloom.process.WalkNoise` of the samples that `draws` names."""

    draws: Draws
    shape: tuple[int, ...]
    """(C, H, W)."""
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        """The noise of step `index`, (B, C, H, W)."""
        purpose = "step" if draw == 0 else f"step {draw}"
        return self.draws.at(index).normal(purpose, self.shape, dtype=self.dtype, device=self.device)

    def between(self, current: Level, following: Level) -> Tensor:
        """The increment of the samples' Brownian paths over alpha²/sigma², divided by its std, (B, C, H, W).

        Raises ValueError for a clean level, and for levels so close that the path has no point between them.
        """
        start, end = Point.nearest(current.log_snr), Point.nearest(following.log_snr)
        return self._paths.increment(start, end).to(device=self.device, dtype=self.dtype)

    @cached_property
    def _paths(self) -> BrownianTree:
        return BrownianTree(self.draws, self.shape)

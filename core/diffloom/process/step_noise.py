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
        return self.placed(self.drawn(index, draw))

    def between(self, current: Level, following: Level) -> Tensor:
        """The increment of the samples' Brownian paths over alpha²/sigma², divided by its std, (B, C, H, W).

        Raises ValueError for a clean level, and for levels so close that the path has no point between them.
        """
        return self.placed(self.drawn_between(current, following))

    def drawn(self, index: int, draw: int) -> Tensor:
        """The noise of a step where it is drawn: on the CPU, for a GPU in memory that is copied from meanwhile."""
        purpose = "step" if draw == 0 else f"step {draw}"
        return self.draws.at(index).normal(purpose, self.shape, dtype=self.dtype, pinned=self._pinned)

    def drawn_between(self, current: Level, following: Level) -> Tensor:
        """The increment where it is drawn."""
        start, end = Point.nearest(current.log_snr), Point.nearest(following.log_snr)
        increment = self._paths.increment(start, end).to(self.dtype)
        return increment.pin_memory() if self._pinned else increment

    def placed(self, drawn_BCHW: Tensor) -> Tensor:
        """What was drawn, where the walk is; the copy to a GPU does not wait for it."""
        return drawn_BCHW.to(self.device, non_blocking=self._pinned)

    @property
    def _pinned(self) -> bool:
        return torch.device(self.device).type == "cuda"

    @cached_property
    def _paths(self) -> BrownianTree:
        return BrownianTree(self.draws, self.shape)

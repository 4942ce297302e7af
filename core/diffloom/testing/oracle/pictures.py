"""Random pictures that are smooth. Legend: J pictures, C channels, H height, W width, K waves down, L waves across."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from diffloom.process import Draws

WAVES = 3
"""Half waves that fit the picture's side: 0, 1 and 2."""


def smooth_pictures(count: int, shape: Sequence[int], *, seed: int, spread: float) -> Tensor:
    """(J, C, H, W) float64: sums of slow cosines, of mean square spread² in expectation.

    Picture j depends on seed, shape and j only: more classes leave the others as they are.
    """
    channels, height, width = shape
    down_HK, across_WL = _cosines(height), _cosines(width)
    amplitude_KL = (
        1 / (1 + torch.arange(down_HK.shape[1])[:, None] + torch.arange(across_WL.shape[1])).double()
    )
    amplitude_KL *= spread / amplitude_KL.square().sum().sqrt()
    waves = (channels, *amplitude_KL.shape)
    drawn_JCKL = Draws.of(seed, range(count)).normal("oracle means", waves, dtype=torch.float64)
    return torch.einsum("hk,wl,jckl->jchw", down_HK, across_WL, amplitude_KL * drawn_JCKL)


def _cosines(side: int) -> Tensor:
    """The slowest cosines of a side, one in each column, of mean square 1."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    halves = torch.arange(min(WAVES, side), dtype=torch.float64)
    waves = torch.cos(math.pi * place[:, None] * halves)
    return torch.where(halves == 0, waves, math.sqrt(2) * waves)

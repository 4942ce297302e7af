"""Mean and standard deviation of each channel, of numbers that come a batch at a time.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """What is known of the numbers seen so far: how many, their mean, their squared deviations, in float64.

    A batch is reduced around its own mean, and two groups are joined by Chan, Golub and LeVeque 1979, eq. 2.1: no sum
    of squares ever stands beside the square of a sum, which would cancel where the mean is large. A latent that is a
    distribution counts as all of its points: Var(x) = E[Var(x | picture)] + Var(E[x | picture]).
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        """Numbers of each channel."""
        self._mean_C = torch.zeros(channels, dtype=torch.float64)
        self._squares_C = torch.zeros(channels, dtype=torch.float64)

    def add(self, mean_BCHW: Tensor, deviation_BCHW: Tensor | None = None) -> None:
        """Take in a batch of numbers; or of distributions, by their means and standard deviations."""
        x_CN = mean_BCHW.cpu().double().transpose(0, 1).flatten(1)
        inner_C = torch.zeros_like(self._mean_C)
        if deviation_BCHW is not None:
            inner_C = deviation_BCHW.cpu().double().square().sum(dim=(0, 2, 3))
        count, mean_C = x_CN.shape[1], x_CN.mean(1)
        squares_C = (x_CN - mean_C[:, None]).square().sum(1) + inner_C
        total = self.count + count
        apart_C = mean_C - self._mean_C
        self._mean_C += apart_C * (count / total)
        self._squares_C += squares_C + apart_C.square() * (self.count * count / total)
        self.count = total

    @property
    def mean(self) -> tuple[float, ...]:
        """Of each channel."""
        return tuple(self._mean_C.tolist())

    @property
    def std(self) -> tuple[float, ...]:
        """Of each channel, around its own mean."""
        return tuple((self._squares_C / self.count).sqrt().tolist())

    @property
    def pooled_std(self) -> float:
        """Of all numbers together, around their common mean: σ̂ of Rombach et al. 2022, appendix G."""
        variance_C = self._squares_C / self.count + (self._mean_C - self._mean_C.mean()).square()
        return float(variance_C.mean().sqrt())

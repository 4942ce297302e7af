"""Rescaled guidance. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from diffloom.process import Denoised, Level

Rescaled = Literal["x0", "epsilon", "v", "flow"]


class Rescale:
    """The guided prediction with the spread of the plain one (Lin et al. 2023, eq. 15 and 16).

    y·(factor·std(plain)/std(guided) + 1 − factor) for each sample, of the prediction y named by `space`: x₀, ε,
    v = alpha·ε − sigma·x₀ or the flow ε − x₀. Which one it is makes a difference: diffusers and Lin et al. rescale what
    the network outputs, whatever that is, so for their pictures name the model's own prediction. A constant prediction
    has no spread and stays as it is, where diffusers divides 0 by 0. Where no signal is left (alpha = 0) ε is fixed by
    x_t, and there is nothing to rescale in it.
    """

    def __init__(self, *, factor: float, space: Rescaled) -> None:
        self.factor = factor
        self.space = space

    def __call__(self, x_t_BCHW: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Tensor:
        """The rescaled x₀."""
        alpha, sigma = level.alpha, level.sigma
        if self.space == "epsilon" and alpha == 0:
            return guided.x0_BCHW
        y, wanted = self._seen(guided, level), self._seen(plain, level)
        spread = _std(y)
        ratio = torch.where(spread > 0, _std(wanted) / spread, 1.0)
        change = self.factor * (ratio - 1) * y  # eq. 15 and 16 less y
        # x_t stays: alpha·x₀ + sigma·ε = x_t says how far x₀ goes with a change of y
        along = {
            "x0": 1.0,
            "epsilon": -sigma / alpha if alpha else 0.0,
            "v": -sigma / (alpha**2 + sigma**2),
            "flow": -sigma / (alpha + sigma),
        }
        return guided.x0_BCHW + along[self.space] * change

    def _seen(self, denoised: Denoised, level: Level) -> Tensor:
        x0, eps = denoised.x0_BCHW, denoised.eps_BCHW
        if self.space == "x0":
            return x0
        if self.space == "epsilon":
            return eps
        return level.alpha * eps - level.sigma * x0 if self.space == "v" else eps - x0


def _std(x_BCHW: Tensor) -> Tensor:
    """Of each sample over all pixels and channels, (B, 1, 1, 1)."""
    return x_BCHW.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)

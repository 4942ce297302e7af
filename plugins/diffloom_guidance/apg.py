"""Adaptive projected guidance. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from diffloom.process import Aims, Denoised, Level, Model, Strength, View


class APG:
    """Classifier-free guidance whose direction is damped (Sadat et al. 2024, algorithm 1).

    Of the difference c − u of the predicted x₀: `momentum`, which is negative, takes a share of the earlier ones off;
    it is shortened to a norm of at most `threshold`; and its part along c, which saturates colours, counts `eta` times.
    The result, times scale − 1, is added to c. What is remembered is one walk's, and each call of the denoiser adds to
    it, so that a sampler that looks twice in a step remembers twice.

    diffusers takes the network's output in place of x₀, and adds to u rather than to c unless told
    `use_original_formulation=True`, where its scale is ours less 1.
    """

    def __init__(self, *, strength: Strength, eta: float, threshold: float | None, momentum: float) -> None:
        self.strength = strength
        self.eta = eta
        self.threshold = threshold
        self.momentum = momentum

    def __call__(self, aims: Aims, model: Model) -> tuple[APGPull]:
        """The guidance of one walk."""
        return (APGPull(self, aims, model),)


class APGPull:
    """Away from the null condition, across the prediction rather than along it."""

    def __init__(self, guide: APG, aims: Aims, model: Model) -> None:
        self.guide = guide
        self.axis = model.schedule.axis
        self.views = (View(aims.null),)
        self._earlier: Tensor | float = 0.0

    def active(self, level: Level) -> bool:
        """In the interval, unless the scale is 1."""
        return self.guide.strength.within(level) and not self.guide.strength.neutral

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """(scale − 1)·(the part across c + eta·the part along c)."""
        (null,) = seen
        c = plain.x0_BCHW
        difference = c - null.x0_BCHW + self.guide.momentum * self._earlier
        self._earlier = difference
        if self.guide.threshold is not None:
            difference = difference * (self.guide.threshold / _norm(difference)).clamp(max=1)
        unit = functional.normalize(c.flatten(1), dim=1).view_as(c)
        along = (difference * unit).sum((1, 2, 3), keepdim=True) * unit
        across = difference - along
        return self.guide.strength.excess(level, self.axis, c) * (across + self.guide.eta * along)


def _norm(x_BCHW: Tensor) -> Tensor:
    norm_B111: Tensor = torch.linalg.vector_norm(x_BCHW, dim=(1, 2, 3), keepdim=True)
    return norm_B111

"""CFG-Zero*. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffloom.process import Aims, Denoised, Level, Model, Strength, View, noise_share


class CFGZero:
    """Classifier-free guidance of the velocity ε − x₀ with the unconditional one scaled to fit (Fan et al. 2025).

    v = s·u + scale·(c − s·u), with s = ⟨c, u⟩ / ‖u‖² for each sample (algorithm 1): the multiple of u that is nearest
    to c. Where less than `zero_share` of the time axis is gone, counted from its noisy end, the velocity is 0. The
    original counts steps there, 4 % of them; a share of time is the same on an even grid, and does not depend on how
    often a sampler looks. A sample of scale 1 is left alone everywhere.

    The paper is about flows, which predict this velocity; diffusers takes whatever the network predicts in its place.
    """

    def __init__(self, *, strength: Strength, zero_share: float) -> None:
        self.strength = strength
        self.zero_share = zero_share

    def __call__(self, aims: Aims, model: Model) -> tuple[CFGZeroPull]:
        """The guidance of one walk."""
        return (CFGZeroPull(self.strength, self.zero_share, aims, model),)


class CFGZeroPull:
    """Away from what of the null condition is in the way."""

    def __init__(self, strength: Strength, zero_share: float, aims: Aims, model: Model) -> None:
        self.strength = strength
        self.zero_share = zero_share
        self.axis = model.schedule.axis
        self.views = (View(aims.null),)

    def active(self, level: Level) -> bool:
        """In the interval, unless the scale is 1."""
        return self.strength.within(level) and not self.strength.neutral

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """(scale − 1)·(c − s·u) or −c, of velocities, as a shift of x₀."""
        (null,) = seen
        c, u = (one.eps_BCHW - one.x0_BCHW for one in (plain, null))
        if noise_share(level, self.axis) > 1 - self.zero_share:
            change = -c * self.strength.steered(c)
        else:
            change = self.strength.excess(level, self.axis, c) * (c - _fitting(c, u) * u)
        # alpha·x₀ + sigma·(x₀ + v) = x_t: a velocity that is higher by δ belongs to an x₀ that is lower by this
        return -level.sigma / (level.alpha + level.sigma) * change


def _fitting(c_BCHW: Tensor, u_BCHW: Tensor) -> Tensor:
    """s of algorithm 1, (B, 1, 1, 1); 0 where u is."""
    along = (c_BCHW * u_BCHW).sum((1, 2, 3), keepdim=True)
    length = u_BCHW.square().sum((1, 2, 3), keepdim=True)
    return torch.where(length > 0, along / length, 0.0)

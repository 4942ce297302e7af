"""Classifier-free guidance. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from diffloom.process import Aims, Denoised, Level, Model, Strength, View


class ClassifierFree:
    """u + scale·(c − u) of the conditional prediction c and the unconditional u (Ho & Salimans 2022, eq. 6).

    The scale is that of diffusers, latent-diffusion, sgm, k-diffusion and EDM2: 1 is the plain conditional
    model, 0 the unconditional one. The paper's own w, and `(1 + w)·c − w·u` wherever it is written, is scale
    − 1. lucidrains' default drops the part of c − u that is parallel to c and rescales the result; DiT guides
    three of four channels.

    Further conditions c_i of weight w_i add w_i·(c_i − u) each (Liu et al. 2022, algorithm 1), so that a weight is a
    scale of its own, and a negative one leads away.

    It is the network's raw output that is combined, whatever it predicts; x₀ and ε are linear in it, so this is guiding
    them. The learned variance is the conditional one.
    """

    def __init__(self, *, strength: Strength) -> None:
        self.strength = strength

    def __call__(self, aims: Aims, model: Model) -> tuple[ClassifierFreePull]:
        """The guidance of one walk: each call of the network is one on a batch of 2·B, or of B where it is idle."""
        return (ClassifierFreePull(self.strength, aims, model),)


class ClassifierFreePull:
    """Away from the null condition, and towards further ones."""

    def __init__(self, strength: Strength, aims: Aims, model: Model) -> None:
        self.strength = strength
        self.axis = model.schedule.axis
        self.weights_of_others = [weight for weight, _ in aims.others]
        self.views = (View(aims.null), *(View(condition) for _, condition in aims.others))

    def active(self, level: Level) -> bool:
        """In the interval, unless the scale is 1 and there is no further condition."""
        return self.strength.within(level) and not (self.strength.neutral and not self.weights_of_others)

    def weights(self, level: Level, like_BCHW: Tensor) -> list[Tensor | float]:
        """Of u, −(scale − 1) − Σ w_i, then w_i each: what eq. 6 and the further terms make of c, u and c_i."""
        more = self.strength.excess(level, self.axis, like_BCHW)
        if not self.weights_of_others:
            return [-more]
        factor = self.strength.factor(level, self.axis)
        others = [factor * weight for weight in self.weights_of_others]
        return [-more - sum(others), *others]

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """(scale − 1)·(c − u) + Σ w_i·(c_i − u): eq. 6 less c, and the further ones."""
        null, *others = (view.x0_BCHW for view in seen)
        shift = self.strength.excess(level, self.axis, null) * (plain.x0_BCHW - null)
        factor = self.strength.factor(level, self.axis)
        for weight, other in zip(self.weights_of_others, others, strict=True):
            shift = shift + factor * weight * (other - null)
        return shift

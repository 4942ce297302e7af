"""Classifier-free guidance. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from diffloom.process import Aims, Denoised, Level, Model, View


class ClassifierFree:
    """u + scale·(c − u) of the conditional prediction c and the unconditional u (Ho & Salimans 2022, eq. 6).

    The scale is that of diffusers, latent-diffusion, sgm, k-diffusion and EDM2: 1 is the plain conditional
    model, 0 the unconditional one. The paper's own w, and `(1 + w)·c − w·u` wherever it is written, is scale
    − 1. lucidrains' default drops the part of c − u that is parallel to c and rescales the result; DiT guides
    three of four channels.

    It is x₀ that is combined, and ε with it; both are affine in the network's output, so this is guiding the
    raw output, whatever it predicts. The learned variance is the conditional one. Clipping belongs outside: see
    `diffloom.process.clipped`.
    """

    def __init__(self, *, scale: float | tuple[float, ...]) -> None:
        self.scale = scale

    def __call__(self, aims: Aims, model: Model) -> ClassifierFreePull:
        """The guidance of one walk: each call of the network is one on a batch of 2·B, or of B at scale 1."""
        return ClassifierFreePull(self.scale, aims)


class ClassifierFreePull:
    """Away from the null condition."""

    def __init__(self, scale: float | tuple[float, ...], aims: Aims) -> None:
        self.scale = scale
        self.views = (View(aims.null),)

    def active(self, level: Level) -> bool:
        """Everywhere, unless the scale is 1."""
        return self.scale != 1

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """(scale − 1)·(c − u): eq. 6 less c."""
        (null,) = seen
        more = plain.x0_BCHW.new_tensor(self.scale).sub(1).view(-1, 1, 1, 1)
        return more * (plain.x0_BCHW - null.x0_BCHW)

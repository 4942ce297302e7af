"""Classifier-free guidance. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.process import Denoised, Level


class ClassifierFree:
    """u + scale·(c − u) of the conditional prediction c and the unconditional u (Ho & Salimans 2022, eq. 6).

    The scale is that of diffusers, latent-diffusion, sgm, k-diffusion and EDM2: 1 is the plain conditional
    model, 0 the unconditional one. The paper's own w, and `(1 + w)·c − w·u` wherever it is written, is scale
    − 1. lucidrains' default drops the part of c − u that is parallel to c and rescales the result; DiT guides
    three of four channels.

    x₀ and ε are both combined; they are affine in the network's output, so this is guiding the raw output,
    whatever it predicts. The learned variance is the conditional one. Clipping belongs outside: see
    `diffloom.process.clipped`.
    """

    def __init__(self, *, scale: float) -> None:
        self.scale = scale

    def __call__(
        self,
        under: Callable[[Condition], Callable[[Tensor, Level], Denoised]],
        condition: Condition,
        null: Condition,
    ) -> Callable[[Tensor, Level], Denoised]:
        """The guided denoiser: each call is one on a batch of 2·B, or of B where the scale is 0 or 1."""
        if self.scale == 1:
            return under(condition)
        if self.scale == 0:
            return under(null)
        under_both = under(Condition.stack([condition, null]))

        def guided(x_BCHW: Tensor, level: Level) -> Denoised:
            both = under_both(torch.cat([x_BCHW, x_BCHW]), level)
            return Denoised(
                x0_BCHW=self._combined(both.x0_BCHW),
                eps_BCHW=self._combined(both.eps_BCHW),
                variance_BCHW=None if both.variance_BCHW is None else both.variance_BCHW.chunk(2)[0],
            )

        return guided

    def _combined(self, both: Tensor) -> Tensor:
        conditional, unconditional = both.chunk(2)
        return unconditional + self.scale * (conditional - unconditional)  # eq. 6

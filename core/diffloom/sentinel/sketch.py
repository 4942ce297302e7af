"""Gradients in little room. Legend: N numbers of a sketch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NUMBERS = 4096
"""Most numbers that are kept of each weight's gradient, evenly spaced."""


def sketch(gradients: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    """(N,) float32 whose inner products estimate those of the whole gradients; exact for weights of up to `NUMBERS`
    numbers. Where there is no gradient it is zero; `like` has the weights' shapes."""
    return torch.cat(
        [
            _kept(torch.zeros_like(weight) if gradient is None else gradient)
            for gradient, weight in zip(gradients, like, strict=True)
        ]
    )


def _kept(gradient: Tensor) -> Tensor:
    stride = -(-gradient.numel() // NUMBERS)
    kept = gradient.detach().flatten()[::stride].float()
    return kept * math.sqrt(gradient.numel() / len(kept))

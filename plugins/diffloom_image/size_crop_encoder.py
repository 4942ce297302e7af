"""The module of the size conditioner. Legend: B batch, N numbers, D width of the vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn import SinusoidalEmbedding


class SizeCropEncoder(nn.Module):
    """Numbers → the sinusoids of each, one after another: a vector of D = numbers · width. It has no weights.

    The null condition is zeros, which no numbers have: the cosines of 0 are 1.
    """

    zero: Tensor

    def __init__(self, *, numbers: int, width: int) -> None:
        super().__init__()
        self.width = numbers * width
        # Cosines first, as the time embedding of its network is (Podell et al. 2023, section 2.2).
        self.embed = SinusoidalEmbedding(width=width, cos_first=True, frequency_shift=0)
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # tells the module's device

    def encode(self, raw: Sequence[Sequence[float]]) -> Condition:
        """(B, D) of as many numbers for each row."""
        numbers_BN = torch.tensor(raw, dtype=torch.float32, device=self.zero.device)
        return Condition(vector_BD=self.embed(numbers_BN.flatten()).reshape(len(raw), self.width))

    def null(self, count: int) -> Condition:
        """Zeros, `count` times."""
        return Condition(vector_BD=torch.zeros(count, self.width, device=self.zero.device))

"""The gated feed-forward layer of transformers. Legend: B batch, L tokens, C channels, H hidden width."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class GEGLU(nn.Module):
    """(x·V ⊙ GELU(x·W))·U, with biases: (B, L, C) → (B, L, C) (Shazeer 2020, eq. 6).

    The hidden width is `growth` times the channels. V and W are one projection, V's rows first.
    """

    def __init__(self, *, channels: int, growth: int = 4) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, 2 * growth * channels)
        self.contract = nn.Linear(growth * channels, channels)

    def forward(self, x_BLC: Tensor) -> Tensor:
        value_BLH, gate_BLH = self.expand(x_BLC).chunk(2, dim=2)
        gate_BLH = functional.gelu(gate_BLH)
        # fresh memory is dear on CPUs; gradients need what it would be written over
        gated_BLH = value_BLH * gate_BLH if torch.is_grad_enabled() else gate_BLH.mul_(value_BLH)
        out_BLC: Tensor = self.contract(gated_BLH)
        return out_BLC

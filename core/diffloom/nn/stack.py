"""Blocks in a row. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from torch import Tensor, nn

from diffloom.nn.signal import Signal


class Stack(nn.Module):
    """Parts called one after another, each as `part(x_BCHW, signal)`."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x_BCHW: Tensor, signal: Signal) -> Tensor:
        """What the last part makes of x."""
        for part in self.parts:
            x_BCHW = part(x_BCHW, signal)
        return x_BCHW

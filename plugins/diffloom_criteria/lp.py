"""Pixel by pixel. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffloom.kinds import Reconstruction


class LpJudge(nn.Module):
    """Mean |x − x̂|^p of each example, over C, H, W."""

    def __init__(self, *, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, reconstruction: Reconstruction, *, so_far: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss of each example, (B,), and zeros."""
        error_BCHW = (reconstruction.images_BCHW - reconstruction.reconstructed_BCHW).abs()
        # Below p = 1 the slope at 0 is infinite: a value that is met exactly pulls nowhere.
        is_met = error_BCHW == 0
        power_BCHW = torch.where(is_met, 1.0, error_BCHW).pow(self.p)
        loss_B = torch.where(is_met, 0.0, power_BCHW).flatten(1).mean(1)
        return loss_B, torch.zeros_like(loss_B)

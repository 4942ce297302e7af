"""Seen by a trained eye. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffloom.kinds import Reconstruction
from diffloom_criteria.vgg import VGGDistance


class PerceptualJudge(nn.Module):
    """LPIPS between picture and reconstruction. Its weights come from a file and are not trained."""

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        self.distance = VGGDistance(learned=learned).requires_grad_(False)

    def forward(self, reconstruction: Reconstruction, *, so_far: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss of each example, (B,), and zeros."""
        loss_B = self.distance(reconstruction.reconstructed_BCHW, reconstruction.images_BCHW)
        return loss_B, torch.zeros_like(loss_B)

"""LPIPS: what VGG16 sees of two pictures, compared. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""VGG16 (Simonyan & Zisserman 2015, table 1, D): channels and convolutions before each pooling."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's means and deviations for values in [-1, 1], as LPIPS rounds them."""
TINY = 1e-10
"""Keeps a feature that is all zeros from being divided by 0."""


class VGGDistance(nn.Module):
    """d(x, y) = Σ_l mean_hw Σ_c w_lc·(x̂_lc − ŷ_lc)² (Zhang et al. 2018, eq. 1), over the last features of each stage.

    With `learned` the weights w are parameters, as LPIPS keeps them: already squared, so not negative. Otherwise 1.
    """

    shift_111: Tensor
    scale_111: Tensor

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        stages, entering = [], 3
        for channels, count in STAGES:
            widths = [entering, *[channels] * count]
            stages.append(
                nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
            )
            entering = channels
        self.stages = nn.ModuleList(stages)
        self.channel_weights = nn.ParameterList(
            [nn.Parameter(torch.ones(1, channels)) for channels, _ in STAGES] if learned else []
        )
        self.register_buffer("shift_111", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale_111", torch.tensor(SCALE)[:, None, None], persistent=False)

    def features(self, images_BCHW: Tensor) -> Iterator[Tensor]:
        """The features of each stage behind its last ReLU, of length 1 at every pixel."""
        h_BCHW = (images_BCHW - self.shift_111) / self.scale_111
        for number, stage in enumerate(self.stages):
            if number:
                h_BCHW = functional.max_pool2d(h_BCHW, 2)
            assert isinstance(stage, nn.ModuleList)
            for convolution in stage:
                h_BCHW = functional.relu(convolution(h_BCHW))
            # a norm whose gradient at 0 is 0, where that of a square root would be NaN
            yield h_BCHW / (torch.linalg.vector_norm(h_BCHW, dim=1, keepdim=True) + TINY)

    def forward(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        """The distance of each pair, (B,). Both in [-1, 1], RGB or grey; `y` gets no gradient."""
        with torch.no_grad():
            wanted = list(self.features(_rgb(y_BCHW)))
        total_B = x_BCHW.new_zeros(len(x_BCHW))
        for stage, (made_BCHW, wanted_BCHW) in enumerate(
            zip(self.features(_rgb(x_BCHW)), wanted, strict=True)
        ):
            error_BCHW = (made_BCHW - wanted_BCHW).square()
            if self.channel_weights:
                error_BCHW = error_BCHW * self.channel_weights[stage][:, :, None, None]
            total_B = total_B + error_BCHW.sum(1).mean((1, 2))
        return total_B


def _rgb(images_BCHW: Tensor) -> Tensor:
    return images_BCHW.expand(-1, 3, -1, -1)

"""What starts at zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diffloom.nn import SelfAttention, zeroed


@pytest.mark.parametrize("layer", [nn.Linear(3, 4), nn.Conv2d(3, 4, 3, bias=False)])
def test_zeroed(layer: nn.Linear | nn.Conv2d) -> None:
    assert zeroed(layer) is layer
    assert not any(parameter.any() for parameter in layer.parameters())


def test_fused_projections_start_as_separate_ones() -> None:
    """PyTorch's uniform weights have variance 1 / (3 · fan_in), which stacking along the output leaves alone."""
    torch.manual_seed(0)
    for part in SelfAttention(channels=256).qkv.weight.chunk(3):
        # 65,536 uniform draws: their variance's relative standard error is √(0.8 / 65536) = 0.35 %
        assert part.var().item() == pytest.approx(1 / (3 * 256), rel=0.02)

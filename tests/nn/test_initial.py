"""Oracle: the variance of Glorot & Bengio 2010, eq. 16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diffloom.nn import SelfAttention, fan_avg, zeroed


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [
        (nn.Linear(300, 500), 300, 500),
        (nn.Conv2d(40, 60, 3), 40 * 9, 60 * 9),
        (nn.Conv2d(200, 300, 1, bias=False), 200, 300),
    ],
)
def test_fan_avg_variance(layer: nn.Linear | nn.Conv2d, fan_in: int, fan_out: int) -> None:
    torch.manual_seed(0)
    fan_avg(layer)
    variance = 2 / (fan_in + fan_out)
    # at least 21,600 uniform draws: their variance's relative standard error is √(0.8 / 21600) = 0.6 %
    assert layer.weight.var().item() == pytest.approx(variance, rel=0.03)
    assert layer.weight.abs().max().item() <= (3 * variance) ** 0.5  # uniform, not normal
    assert layer.bias is None or not layer.bias.any()


def test_fused_projections_start_as_separate_ones() -> None:
    torch.manual_seed(0)
    for part in SelfAttention(channels=256).qkv.weight.chunk(3):
        assert part.var().item() == pytest.approx(2 / (256 + 256), rel=0.03)


@pytest.mark.parametrize("layer", [nn.Linear(3, 4), nn.Conv2d(3, 4, 3, bias=False)])
def test_zeroed(layer: nn.Linear | nn.Conv2d) -> None:
    assert zeroed(layer) is layer
    assert not any(parameter.any() for parameter in layer.parameters())

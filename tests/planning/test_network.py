"""Oracle: sizes and multiplications counted by hand, published networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from diffloom.nn import Block, SelfAttention, blocks
from diffloom.planning.network import observed


class Layer(Block):
    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        out_BCHW: Tensor = self.conv(x_BCHW)
        return out_BCHW


def test_rows_are_blocks_of_one_size_in_a_row() -> None:
    network = nn.Sequential()
    network.add_module("down", nn.Sequential(Layer(1, 4), Layer(4, 4), nn.AvgPool2d(2), Layer(4, 4)))
    network.add_module("leave", nn.Conv2d(4, 2, 1))
    found = observed(network, lambda: network(torch.zeros(1, 1, 8, 8)))
    wide, narrow = found.rows
    assert (wide.place, wide.shape, wide.blocks) == ("down", (4, 8, 8), {"Layer": 2})
    assert (narrow.place, narrow.shape, narrow.blocks) == ("down", (4, 4, 4), {"Layer": 1})
    assert wide.weights == (9 * 4 + 4) + (36 * 4 + 4)
    assert wide.flops == 2 * 64 * (9 * 4 + 36 * 4)
    assert narrow.flops == 2 * 16 * 36 * 4
    assert found.flops == wide.flops + narrow.flops + 2 * 16 * 4 * 2
    assert found.weights == sum(weight.numel() for weight in network.parameters())


def test_attention_is_counted_as_its_products() -> None:
    """q·kᵀ and its product with v, beside four projections, for 16 pixels of 8 channels."""
    network = SelfAttention(channels=8, norm_groups=4)
    found = observed(network, lambda: network(torch.zeros(1, 8, 4, 4)))
    assert found.flops == 2 * 16 * (8 * 24 + 8 * 8) + 2 * (2 * 16 * 16 * 8)


def test_a_network_without_blocks_is_shown_by_its_parts() -> None:
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    found = observed(network, lambda: network(torch.zeros(1, 3)))
    assert [row.blocks for row in found.rows] == [{"Linear": 1, "Tanh": 1}, {"Linear": 1}]
    assert [row.flops for row in found.rows] == [30, 20]


def test_nothing_is_left_on_the_network() -> None:
    network = nn.Sequential(Layer(1, 1))
    observed(network, lambda: network(torch.zeros(1, 1, 4, 4)))
    (block,) = blocks(network).values()
    assert not block._forward_hooks
    assert not block._forward_pre_hooks


@pytest.mark.parametrize("failing", [True, False])
def test_a_call_that_fails_leaves_nothing_either(failing: bool) -> None:
    network = nn.Sequential(Layer(2, 1))
    if failing:
        with pytest.raises(RuntimeError):
            observed(network, lambda: network(torch.zeros(1, 1, 4, 4)))
    assert not network[0]._forward_pre_hooks

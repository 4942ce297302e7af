"""Blocks in a row. Oracle: the blocks called by hand."""

import torch
from torch import nn

from diffloom.nn import NO_SIGNAL, Stack


class Affine(nn.Module):
    def __init__(self, gain, offset):
        super().__init__()
        self.gain, self.offset = gain, offset

    def forward(self, x_BCHW, signal):
        assert signal is NO_SIGNAL
        return self.gain * x_BCHW + self.offset


def test_parts_are_called_in_their_order_with_the_signal():
    x = torch.arange(8.0).view(1, 2, 2, 2)
    assert torch.equal(Stack(Affine(2, 1), Affine(3, 0))(x, NO_SIGNAL), 3 * (2 * x + 1))


def test_an_empty_row_changes_nothing():
    x = torch.ones(1, 2, 2, 2)
    assert Stack()(x, NO_SIGNAL) is x

"""Modules without memory for their weights. Oracles: the same module with memory; torch's generator; `sys.modules`."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from diffloom.bridge.empty import empty_weights


class Parts(nn.Module):
    """Whatever torch gives its first numbers in ways of its own, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.mixed = nn.MultiheadAttention(4, 2)
        self.seen = nn.Conv2d(3, 4, 3)
        self.normed = nn.GroupNorm(2, 4)
        self.recurrent = nn.LSTM(4, 3)
        nn.init.trunc_normal_(self.words.weight, std=0.02)
        nn.init.orthogonal_(tensor=self.seen.weight)
        self.register_buffer("mask", nn.init.constant_(torch.empty(5), 3.0))


def test_weights_have_shapes_and_no_memory_and_buffers_have_numbers() -> None:
    whole = Parts()
    with empty_weights():
        empty = Parts()
    assert all(weight.is_meta for weight in empty.parameters())
    assert {name: (w.shape, w.dtype, w.requires_grad) for name, w in empty.named_parameters()} == {
        name: (w.shape, w.dtype, w.requires_grad) for name, w in whole.named_parameters()
    }
    assert torch.equal(empty.mask, torch.full((5,), 3.0))


def test_only_weights_are_left_without_numbers() -> None:
    """A tensor that a module fills for itself is filled as ever, inside as outside."""
    torch.manual_seed(3)
    expected = torch.empty(4).normal_()
    torch.manual_seed(3)
    with empty_weights():
        drawn = torch.empty(4).normal_()
    assert torch.equal(drawn, expected)


def test_no_random_number_is_drawn_and_no_compiler_imported() -> None:
    """torch 2.13 asks its compiler to fill a tensor without memory with normal numbers."""
    code = (
        "import sys, torch\nfrom torch import nn\nfrom diffloom.bridge.empty import empty_weights\n"
        "state, before = torch.get_rng_state(), set(sys.modules)\n"
        "with empty_weights():\n    nn.Embedding(7, 4), nn.Linear(3, 3), nn.TransformerEncoderLayer(8, 2)\n"
        "assert torch.equal(torch.get_rng_state(), state)\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

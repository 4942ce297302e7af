"""Oracles: diffusers' `FeedForward`, which holds its `GEGLU`, and the paper's formula with the error function."""

from __future__ import annotations

import math

import torch
from diffusers.models.attention import FeedForward

from diffloom.nn import GEGLU


def test_equals_diffusers() -> None:
    torch.manual_seed(0)
    ours, theirs = GEGLU(channels=12).double(), FeedForward(12, activation_fn="geglu").double()
    theirs.net[0].proj.load_state_dict(ours.expand.state_dict())
    theirs.net[2].load_state_dict(ours.contract.state_dict())
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


def test_is_the_paper_s_formula() -> None:
    """Shazeer 2020, eq. 6; GELU(y) = y·Φ(y), exactly and not by its tanh approximation."""
    torch.manual_seed(0)
    ours = GEGLU(channels=6, growth=2).double()
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    v, w = ours.expand.weight.chunk(2)
    c, b = ours.expand.bias.chunk(2)
    y = x @ w.T + b
    gelu = y * (1 + torch.erf(y / math.sqrt(2))) / 2
    expected = ((x @ v.T + c) * gelu) @ ours.contract.weight.T + ours.contract.bias
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-12)

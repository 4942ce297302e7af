"""The optimiser as the loop sees it: the rate of each step, and decay only where it belongs. Oracles: closed forms."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from diffloom import config
from diffloom.config.document import Train
from diffloom.plugins import load_registry
from diffloom.training.optimizer import build_optimizer, decaying_names, learning_rate


def trained(text: str) -> Train:
    """The `train` section of a whole configuration."""
    document = config.load(
        "diffloom:digits", ["train.steps=1000", "train.lr=0.1", *text.split()], registry=load_registry()
    ).document
    assert document.train is not None
    return document.train


def test_the_rate_is_the_schedule_s_share_of_the_highest() -> None:
    train = trained("train.lr_schedule.warmup_steps=10")
    rates = [learning_rate(step, train) for step in (1, 5, 10, 1000)]
    assert rates == pytest.approx([0.01, 0.05, 0.1, 0.1], rel=1e-15)


class Network(nn.Module):
    """One of each sort of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3)
        self.norm = nn.GroupNorm(1, 2)
        self.embedding = nn.Embedding(4, 2)
        self.attention = nn.MultiheadAttention(2, 1)
        self.scale = nn.Parameter(torch.ones(2))
        self.matrix = nn.Parameter(torch.ones(2, 2))


def test_what_decays() -> None:
    assert decaying_names(Network()) == {
        "convolution.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "matrix",
    }


def test_decay_alone_shrinks_only_what_decays() -> None:
    """With zero gradients AdamW's step is w ← (1 − lr·decay)·w where there is decay, and nothing elsewhere."""
    network = Network()
    before = copy.deepcopy(dict(network.named_parameters()))
    parameters = dict(network.named_parameters())
    train = trained("train.optimizer.weight_decay=0.5")
    optimizer = build_optimizer(network, parameters, train)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in parameters.items():
        factor = 0.95 if name in decaying_names(network) else 1.0
        torch.testing.assert_close(parameter.data, before[name].data * factor, rtol=1e-6, atol=0)

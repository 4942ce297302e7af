"""EMA, warm-up, weight decay. Oracles: closed forms, diffusers' EMAModel, torch's LinearLR."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers.training_utils import EMAModel
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diffloom.config.document import Train
from diffloom.training.ema import EMA, ema_decay
from diffloom.training.optimizer import build_optimizer, decaying_names, learning_rate


def test_ema_decay_figures() -> None:
    """min((1 + step) / (10 + step), decay), 0 on the first step."""
    decays = [ema_decay(step, decay=0.5, warmup=True) for step in range(1, 13)]
    assert decays == [0, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5, 0.5, 0.5]
    assert ema_decay(1, decay=0.9999, warmup=False) == 0.9999


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.9999])
def test_ema_follows_diffusers(decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    average = EMA(list(ours.parameters()), decay=decay, warmup=True)
    peer = EMAModel(theirs.parameters(), decay=decay)
    for step in range(1, 40):
        with torch.no_grad():
            for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
                mine.copy_(torch.randn(mine.shape, generator=generator))
                other.copy_(mine)
        average.update(step)
        peer.step(theirs.parameters())
        with average.applied():
            for mine, shadow in zip(ours.parameters(), peer.shadow_params, strict=True):
                torch.testing.assert_close(
                    mine, shadow, atol=1e-6, rtol=1e-6
                )  # float32, summed in another order


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0, 0.99))
def test_ema_closed_form(values: list[float], decay: float) -> None:
    """Without warm-up: decayⁿ·w₀ + (1 − decay)·Σ decayⁿ⁻ⁱ·wᵢ."""
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    average = EMA([weight], decay=decay, warmup=False)
    for step, value in enumerate(values, 1):
        weight.data.fill_(value)
        average.update(step)
    n = len(values)
    expected = decay**n + (1 - decay) * sum(decay ** (n - i) * value for i, value in enumerate(values, 1))
    with average.applied():
        assert weight.item() == pytest.approx(expected, abs=1e-12)
    assert weight.item() == values[-1]  # applied() gave the weight back


@pytest.mark.parametrize("warmup_steps", [1, 2, 7, 100])
def test_warmup_follows_torch(warmup_steps: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3e-4)
    peer = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1 / warmup_steps, total_iters=max(1, warmup_steps - 1)
    )
    for step in range(1, 2 * warmup_steps + 2):
        expected = optimizer.param_groups[0]["lr"] if warmup_steps > 1 else 3e-4
        assert learning_rate(step, lr=3e-4, warmup_steps=warmup_steps) == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        peer.step()


def test_warmup_ends() -> None:
    assert learning_rate(50, lr=1.0, warmup_steps=100) == 0.5
    assert learning_rate(100, lr=1.0, warmup_steps=100) == 1.0
    assert learning_rate(10_000, lr=1.0, warmup_steps=100) == 1.0
    assert learning_rate(1, lr=1.0, warmup_steps=0) == 1.0


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
    train = Train(steps=1, batch_size=1, lr=0.1, weight_decay=0.5)
    optimizer = build_optimizer(network, parameters, train)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in parameters.items():
        factor = 0.95 if name in decaying_names(network) else 1.0
        torch.testing.assert_close(parameter.data, before[name].data * factor, rtol=1e-6, atol=0)

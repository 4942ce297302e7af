"""Oracle: sizes counted by hand, and the same program on tensors that have memory."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diffloom.nn import Dropout, key_dropout
from diffloom.planning.hollow import Answers, Hollow
from diffloom.planning.live_bytes import REST, LiveBytes
from diffloom.process import Draws

CPU = torch.device("cpu")


def test_memory_lives_from_the_first_tensor_to_the_last() -> None:
    live = LiveBytes(CPU)
    with live:
        x = torch.zeros(100)
        assert live.live_bytes == 400
        view = x[10:]
        view.add_(1)
        assert live.live_bytes == 400
        y = x.double()
        assert live.live_bytes == 400 + 800
        del x
        assert live.live_bytes == 400 + 800  # the view still holds it
        del view, y
    assert live.live_bytes == 0
    assert live.peak == {REST: 1200}


def test_what_autograd_keeps_is_alive() -> None:
    weight = torch.zeros(100, requires_grad=True)
    live = LiveBytes(CPU)
    live.name("weights", [weight])
    with live:
        loss = weight.exp().sum()  # keeps the exponential
        assert live.live_bytes == 400 + 400 + 4
        loss.backward()
        del loss
        assert live.live_bytes == 400 + 400  # the gradient
        live.name("gradients", [weight.grad])
        live.begin_anew()
        weight.detach() * 2
    assert live.peak == {"weights": 400, REST: 400, "gradients": 400}
    assert live.peak_bytes == 1200


def test_other_devices_are_not_counted() -> None:
    live = LiveBytes(CPU)
    with live:
        _ = torch.zeros(100, device="meta")
    assert live.peak_bytes == 0


@settings(max_examples=15, deadline=None)
@given(
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    batch=st.integers(1, 9),
    optimizer=st.sampled_from([torch.optim.AdamW, torch.optim.SGD, torch.optim.Adafactor]),
)
def test_hollow_weights_take_what_real_ones_do(widths, batch, optimizer) -> None:
    """Forward, backward and two updates, byte for byte at each of their ends."""

    def course(hollow: Hollow | None) -> list[int]:
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        network = nn.Sequential(*layers, nn.GELU(), Dropout(0.3), nn.LayerNorm(widths[-1]))
        if hollow is not None:
            hollow.fill(network)
        key_dropout(network, Draws.of(0, range(batch)))
        stepper = optimizer(network.parameters(), lr=1e-3)
        live, seen = LiveBytes(CPU), []
        live.name("weights", network.parameters())
        x = torch.ones(batch, widths[0])
        with hollow.masks(network) if hollow else nullcontext(), Answers(), live:
            for _ in range(2):
                out = network(x)
                seen.append(live.live_bytes)
                out.square().mean().backward()
                del out
                seen.append(live.live_bytes)
                stepper.step()
                stepper.zero_grad()
                seen += [live.live_bytes, live.peak_bytes]
        return seen

    assert course(Hollow(CPU)) == course(None)


def test_hollow_tensors_have_shape_type_and_place() -> None:
    hollow = Hollow(CPU)
    network = nn.ModuleDict({"one": nn.Conv2d(3, 5, 3, padding=1), "norm": nn.BatchNorm2d(5)})
    network["tied"] = nn.Conv2d(3, 5, 3)
    network["tied"].weight = network["one"].weight
    network["one"].bias.requires_grad_(False)
    hollow.fill(network)
    assert network["tied"].weight is network["one"].weight
    assert not network["one"].bias.requires_grad
    assert isinstance(network["norm"].running_mean, torch.Tensor)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = network["one"](torch.zeros(2, 3, 8, 8))
    assert (out.shape, out.dtype, out.device) == ((2, 5, 8, 8), torch.bfloat16, CPU)
    with pytest.raises(RuntimeError):
        out.sum().item()
    with Answers():
        assert out.sum().item() == 0
        assert bool((out > 0).any()) is False
        assert torch.ones(()).item() == 1  # a number that is there is told

"""The first module to overflow. Oracle: the module that was made to."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from diffloom.sentinel.overflow import why_not_finite
from diffloom.training.task import Losses


class Grows(nn.Module):
    """Multiplies beside a layer of its own: the overflow is in no leaf."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.factor = factor

    def forward(self, x: Any) -> Any:
        return self.layer(x) * self.factor


def look(
    network: nn.Module, *, image: float = 1.0, half: bool = False, loss: Callable[[Any], Any] = torch.square
) -> Any:
    """One example of four pixels, the network's output, and what it costs."""
    images = torch.full((2, 4), 1.0)
    images[1, 2] = image
    task = SimpleNamespace(module=nn.ModuleDict({"backbone": network}), beside=nn.ModuleDict())

    def losses() -> Losses:
        with torch.autocast("cpu", torch.float16, enabled=half):
            out = network(images)
        return Losses(loss(out.float()).mean(1))

    return SimpleNamespace(
        batch=SimpleNamespace(positions=(40, 41), images_BCHW=images),
        state=SimpleNamespace(
            parameters=dict(task.module.named_parameters()), scaler=SimpleNamespace(scaled=lambda cost: cost)
        ),
        task=task,
        losses=losses,
    )


def network(second: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), second, nn.Linear(4, 1))


def test_nothing_is_found_where_all_is_finite() -> None:
    assert why_not_finite(look(network(nn.ReLU()))) is None


def test_data_come_first() -> None:
    told = why_not_finite(look(network(nn.ReLU()), image=float("nan")))
    assert told is not None
    assert told.startswith(
        "The picture of example 41 of the run (row 1 of its pass) holds NaN or infinite numbers"
    )


def test_then_the_weights() -> None:
    spoiled = network(nn.Linear(4, 4))
    with torch.no_grad():
        spoiled[1].bias[0] = float("inf")
    told = why_not_finite(look(spoiled))
    assert told is not None
    assert told.startswith("The weights themselves are not finite, backbone.1.bias the first of them")


@pytest.mark.parametrize("half", [True, False], ids=["float16", "float32"])
def test_the_module_whose_own_operation_overflows(half: bool) -> None:
    """Not the layer within it, whose output is finite, nor the one behind it, which is given what is not."""
    factor = 1e6 if half else 1e39
    told = why_not_finite(look(network(Grows(factor)), half=half))
    assert told is not None
    assert told.startswith("The first module to overflow is backbone.1 (Grows): what enters it is at most ")
    assert ("float16 holds no more than 65504; set train.precision: bf16" in told) is half
    assert ("lower train.lr" in told) is not half


def test_a_loss_that_is_not_finite_by_itself() -> None:
    told = why_not_finite(look(network(nn.ReLU()), loss=lambda out: out.square() / 0))
    assert told is not None
    assert told.startswith("Every module's output is finite and the loss of example 40 is not")


def test_a_gradient_that_overflows_on_its_way_back() -> None:
    """√|x| is finite at 0 and its slope is not: found at the layer before it, not at those that follow on the way."""
    zero = network(nn.ReLU())
    with torch.no_grad():
        zero[2].weight.zero_()
        zero[2].bias.zero_()
    told = why_not_finite(look(zero, loss=lambda out: out.abs().sqrt()))
    assert told is not None
    assert "on its way back the first module to overflow is backbone.2" in told

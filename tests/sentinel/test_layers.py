"""Dead and exploding layers. Oracle: networks whose units were made so. Legend: B batch, C channels, L tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from diffloom.sentinel.layers import DEAD, FIRST_STEP, Layers

CAUSE = {"dead-layer", "exploding-layer"}


def told(
    root: nn.Module, shape: tuple[int, ...], *, looks: int = 2, step: int = FIRST_STEP, same: bool = False
) -> list[str]:
    """What two looks at a network show, each with other examples."""
    layers = Layers(root)
    for number in range(looks):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(number))
        look: Any = SimpleNamespace(
            step=step + number, losses=lambda x=x: root(x[:1].expand_as(x) if same else x)
        )
        assert layers.look(look) == {}
        alarms = list(layers.judged(look))
    assert {alarm.cause for alarm in alarms} <= CAUSE
    return [f"{alarm.cause}: {alarm.text.split(':')[0]}" for alarm in alarms]


def relu(dead: int, units: int = 20) -> nn.Module:
    """A layer before an activation that is never above zero for the first `dead` of its units."""
    torch.manual_seed(0)
    layer = nn.Linear(4, units)
    with torch.no_grad():
        layer.bias[:dead] = -100
        layer.bias[dead:] = 100
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(units, 2))


def test_a_few_dead_units_are_no_dead_layer() -> None:
    assert DEAD == 0.95
    assert told(relu(18), (16, 4)) == []
    assert told(relu(19), (16, 4)) == ["dead-layer: 1 (ReLU)"]


def test_all_of_the_last_axis_of_tokens_are_units() -> None:
    assert told(relu(20), (4, 6, 4)) == ["dead-layer: 1 (ReLU)"]  # and what follows from it is not told


def test_channels_of_pictures_are_units() -> None:
    torch.manual_seed(0)
    zeros = nn.Conv2d(3, 5, 1)
    nn.init.zeros_(zeros.weight)
    net = nn.Sequential(zeros, nn.Conv2d(5, 2, 1))
    assert told(net, (3, 3, 4, 4)) == ["dead-layer: 0 (Conv2d)"]


@pytest.mark.parametrize(
    "use",
    [{"looks": 1}, {"step": FIRST_STEP - 2}, {"same": True}],
    ids=["once", "where it began", "where nothing varies that enters"],
)
def test_when_nothing_is_said(use: dict[str, Any]) -> None:
    assert told(relu(20), (16, 4), **use) == []


def test_what_is_not_trained_is_not_looked_at() -> None:
    frozen = relu(20).requires_grad_(False)
    assert told(nn.Sequential(frozen, nn.Linear(2, 2)), (16, 4)) == []


@pytest.mark.parametrize(("factor", "exploded"), [(1e3, False), (1e6, True)])
def test_outputs_that_explode(factor: float, exploded: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.LayerNorm(8))
    with torch.no_grad():
        net[1].weight.mul_(factor)
    assert told(net, (16, 4), looks=1) == (["exploding-layer: 1 (Linear)"] if exploded else [])


def test_no_hook_stays() -> None:
    net = relu(0)
    told(net, (16, 4))
    assert not any(part._forward_hooks for part in net.modules())

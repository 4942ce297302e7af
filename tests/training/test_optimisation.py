"""The optimiser as the loop sees it: the rate of each step, decay only where it belongs, its state on disk.

Oracles: closed forms; the state itself.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom import config
from diffloom.checkpoint import open_checkpoint, save_checkpoint
from diffloom.config.document import Train
from diffloom.errors import CheckpointError, PluginError
from diffloom.plugins import load_registry
from diffloom.training.optimizer import (
    build_optimizer,
    decaying_names,
    learning_rate,
    load_optimizer,
    optimizer_tensors,
)


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


class Positions(nn.Module):
    """Says of its own table that it does not decay, and of one inside it."""

    names: tuple[str, ...] = ("table", "inner.weight")

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(4, 4))
        self.inner = nn.Linear(4, 4)
        self.outer = nn.Linear(4, 4)

    def no_decay(self) -> tuple[str, ...]:
        return self.names


def test_a_module_says_what_does_not_decay() -> None:
    assert decaying_names(nn.ModuleDict({"backbone": Positions()})) == {"backbone.outer.weight"}
    assert decaying_names(Positions()) == {"outer.weight"}


def test_a_module_that_names_no_parameter_of_its_own_is_told() -> None:
    module = Positions()
    module.names = ("tabel",)
    with pytest.raises(PluginError, match=r"Positions\.no_decay\(\) names 'tabel', which is none of its"):
        decaying_names(module)


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


class Counting(torch.optim.SGD):
    """Keeps something of each sort: tensors of other types than the weights', numbers, and both of a group."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["seen"] = group.get("seen", 0) + 1
            group["ratio"] = group.get("ratio", 1.0) / 3
            group["total"] = group.get("total", torch.zeros(1, dtype=torch.float64)) + 0.1
            for parameter in group["params"]:
                state = self.state[parameter]
                state["bytes"] = torch.arange(3, dtype=torch.uint8)
                state["exact"] = torch.full((2,), 0.1, dtype=torch.float64)
                state["step"] = state.get("step", 0) + 1
                state["warm"] = True


def counting() -> tuple[dict[str, nn.Parameter], Counting]:
    parameters = {f"part.{name}": nn.Parameter(torch.ones(2, 2, dtype=torch.float16)) for name in "ab"}
    return parameters, Counting([{"params": [weight]} for weight in parameters.values()], lr=0.1)


def test_the_whole_state_goes_to_disk_and_back(tmp_path: Path) -> None:
    """Every type and bit, though torch brings what it loads to the weights' types; Python's numbers as such."""
    parameters, optimizer = counting()
    optimizer.step()
    optimizer.step()
    tensors = optimizer_tensors(optimizer, parameters)
    assert all(isinstance(value, Tensor) for value in tensors.values())
    save_checkpoint(tmp_path / "x.safetensors", {"optimizer": tensors}, step=2, config="")
    stored = open_checkpoint(tmp_path / "x.safetensors").group("optimizer")
    others, again = counting()
    load_optimizer(again, others, stored, tmp_path)
    for mine, theirs in zip(parameters.values(), others.values(), strict=True):
        assert optimizer.state[mine].keys() == again.state[theirs].keys()
        for slot, value in optimizer.state[mine].items():
            assert_equal(again.state[theirs][slot], value)
    for before, after in zip(optimizer.param_groups, again.param_groups, strict=True):
        assert before.keys() == after.keys()
        for key in before.keys() - {"params"}:
            assert_equal(after[key], before[key])


def assert_equal(came: Any, wanted: Any) -> None:
    assert type(came) is type(wanted)
    if isinstance(wanted, Tensor):
        assert came.dtype == wanted.dtype
        assert torch.equal(came, wanted)
    else:
        assert came == wanted


def test_a_state_that_cannot_be_kept_is_told() -> None:
    parameters, optimizer = counting()
    optimizer.state[parameters["part.a"]]["history"] = [1, 2]
    with pytest.raises(
        PluginError, match="Counting keeps a list in its state 'history'; what it remembers must be"
    ):
        optimizer_tensors(optimizer, parameters)


def test_a_state_of_other_weights_is_refused() -> None:
    parameters, optimizer = counting()
    optimizer.step()
    tensors = optimizer_tensors(optimizer, parameters)
    with pytest.raises(
        CheckpointError, match=r"file: its optimiser state is for 'part\.c', which this model does not"
    ):
        load_optimizer(optimizer, parameters, {"part.c/bytes": tensors["part.a/bytes"]}, Path("file"))
    with pytest.raises(
        CheckpointError, match="file: its optimiser has a group 2 of weights, and this model has 2"
    ):
        load_optimizer(optimizer, parameters, {"group:2/seen:number": torch.tensor(1)}, Path("file"))

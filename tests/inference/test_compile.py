"""Compiled blocks. Oracles: the network itself, and a backend that counts the graphs it is given."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from diffloom.condition import Condition
from diffloom.inference import chosen_compute
from diffloom.inference import prepared as module
from diffloom.inference.prepared import prepared
from diffloom.nn import blocks
from diffloom_unet import UNetModel

ROUNDING = 1e-5
"""Of float32, over a network of some twenty layers whose output has a deviation of about 1."""


class Counting:
    """A backend that runs what it is given as it is."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        self.graphs += 1
        return graph.forward


def inputs(batch: int) -> tuple[Tensor, Tensor, Condition]:
    generator = torch.Generator().manual_seed(batch)
    x_BCHW = torch.randn(batch, 3, 8, 8, generator=generator).to(memory_format=torch.channels_last)
    return x_BCHW, torch.full((batch,), 300.0), Condition()


@torch.no_grad()
def test_a_block_s_graph_serves_its_likes_and_every_batch() -> None:
    """One graph for each kind of block at its first batch size, one more for all others, in whatever order."""
    torch._dynamo.reset()
    network = UNetModel(channels=(8,), blocks_per_level=2, attention_levels=(), norm_groups=4).eval()
    for weight in network.parameters():
        weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    counting = Counting()
    made = prepared(network, chosen_compute("fp32", network, compiles=True), backend=counting)
    graphs = []
    for batch in (4, 2, 6, 3):
        torch.testing.assert_close(made(*inputs(batch)), network(*inputs(batch)), rtol=0, atol=ROUNDING)
        graphs.append(counting.graphs)
    kinds = graphs[0]
    assert kinds <= len(blocks(network))
    assert graphs[1] <= 2 * kinds
    assert graphs[1:] == [graphs[1]] * 3
    assert not any(block._compiled_call_impl for block in blocks(network).values()), (
        "the network itself is not"
    )


@torch.no_grad()
def test_what_is_known_of_the_times_compiles_nothing_anew() -> None:
    """A block is shown what was projected for it, never a time: one graph for all of them."""
    torch._dynamo.reset()
    network = UNetModel(channels=(8,), blocks_per_level=1, attention_levels=(), norm_groups=4).eval()
    for weight in network.parameters():
        weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    counting, times = Counting(), (900.0, 600.0, 300.0)
    made = prepared(network, chosen_compute("fp32", network, compiles=True), backend=counting)
    condition = made.prepare(Condition(), times=times)  # type: ignore[operator]
    assert condition.memory
    x_BCHW, _, _ = inputs(2)
    graphs = []
    for t in times:
        t_B = torch.full((2,), t)
        torch.testing.assert_close(
            made(x_BCHW, t_B, condition), network(x_BCHW, t_B, Condition()), rtol=0, atol=ROUNDING
        )
        graphs.append(counting.graphs)
    assert graphs == [graphs[0]] * 3


def test_where_nothing_compiles_the_reason_is_told_and_the_network_drawn_from(
    unet: Callable[[int], nn.Module], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffloom.nn.compilation.compiler_fault", lambda device, backend: "no C++ compiler")
    network = unet(0)
    with caplog.at_level(logging.INFO, "diffloom"), torch.no_grad():
        made = prepared(network, chosen_compute("fp32", network, compiles=True))
        torch.testing.assert_close(made(*inputs(2)), network(*inputs(2)), rtol=0, atol=ROUNDING)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == (
        "sampling.compile: this machine cannot compile, so nothing is compiled: no C++ compiler"
    )


def test_the_slow_first_step_is_announced_once(
    unet: Callable[[int], nn.Module], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def compile_blocks(found: list[nn.Module], *, backend: object, mode: str | None) -> str:
        modes.append(mode)
        return f"compiling: {len(found)} blocks, each shape when it is first met"

    monkeypatch.setattr(module, "compile_blocks", compile_blocks)
    network = unet(0)
    with caplog.at_level(logging.INFO, "diffloom"):
        prepared(network, chosen_compute("fp32", network, compiles=True))
    count = len(blocks(network))
    assert [record.message for record in caplog.records] == [
        f"sampling: compiling: {count} blocks, each shape when it is first met; the first step of each is slow"
    ]
    assert modes == [None]


@pytest.mark.parametrize(
    ("device", "remembers", "compiled"),
    [("cpu", False, "blocks"), ("cuda", False, "graphs"), ("cuda", True, "blocks")],
)
def test_graphs_are_recorded_where_nothing_outlives_them(
    device: str,
    remembers: bool,
    compiled: str,
    unet: Callable[[int], nn.Module],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("diffloom.inference.compute.type_fault", lambda dtype, device: None)
    place = torch.device(device)
    chosen = chosen_compute("fp32", unet(0), device=place, compiles=True, remembers=remembers)
    assert chosen.compiled == compiled
    assert chosen_compute("fp32", unet(0), device=place).compiled == "not"


def test_a_network_without_blocks_says_so(caplog: pytest.LogCaptureFixture) -> None:
    network = nn.Linear(3, 3)
    with caplog.at_level(logging.INFO, "diffloom"):
        prepared(network, chosen_compute("fp32", network, compiles=True))
    assert "no blocks (diffloom.nn.Block), so nothing is compiled" in caplog.text

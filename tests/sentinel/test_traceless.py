"""The sentinel leaves no trace in a run. Oracle: the run without it, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from diffloom.checkpoint import open_checkpoint
from diffloom.sentinel.quiet import quiet
from diffloom.training.run_folder import RunFolder

Run = Callable[..., Any]
MEASURED = ("grad_norm_bucket_", "noise_scale", "condition_gain", "null_gap")
"""What close looks add to a row."""
TIMED = ("seconds", "images_per_second", "data_wait")


def tensors(folder: Path) -> dict[tuple[str, str], bytes]:
    """All that a run goes on from, but for what was measured."""
    latest = RunFolder(folder).latest()
    assert latest is not None
    checkpoint = open_checkpoint(latest)
    return {
        (group, name): tensor.numpy().tobytes()
        for group in sorted(checkpoint.header.digests)
        for name, tensor in checkpoint.group(group).items()
        if not name.startswith(("notes/", "kept/"))
    }


def computed(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {key: value for key, value in row.items() if not key.startswith(MEASURED) and key not in TIMED}
        for row in rows
    ]


@pytest.mark.parametrize(
    "use",
    [
        (),
        ("train.micro_batch_size=9", "backbone.dropout=0.2"),
        ("objective={type: simple, timing: second_moment}", "train.precision=bf16"),
    ],
    ids=["plain", "passes and dropout", "a timing that learns"],
)
def test_a_watched_run_is_the_same(run: Run, use: tuple[str, ...]) -> None:
    """Weights, averages, moments, what objectives and norms have learned, all figures; and looks were taken."""
    own = ("backbone.type=faulty/normed", "train.steps=12", "train.log_every=3", *use)
    watched = run(*own, "train.sentinel.every=2")
    alone = run(*own, "train.sentinel.every=null")
    assert tensors(watched.folder) == tensors(alone.folder)
    assert computed(watched.rows) == computed(alone.rows)
    assert any(key.startswith(MEASURED) for row in watched.rows for key in row)
    assert not any(key.startswith(MEASURED) for row in alone.rows for key in row)


def test_a_quiet_place_gives_modes_and_generators_back() -> None:
    frozen, trained = nn.Dropout().eval(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with quiet((frozen, trained), device=torch.device("cpu")):
        assert not any(part.training for part in trained.modules())
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert [part.training for part in (frozen, *trained.modules())] == [False, True, True, True]


def test_nothing_is_compiled_anew() -> None:
    """Hooks are called within compiled blocks, modes and batches of another size are looked at, and the training's own
    code stays: a backend counts how often it is asked to compile."""
    compiled: list[object] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        compiled.append(graph)
        return graph

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.inner(x)
            return out

    block = Block()
    block.compile(backend=backend)
    block(torch.ones(4, 3))
    assert len(compiled) == 1
    called: list[bool] = []
    with quiet((block,), device=torch.device("cpu")):
        hook = block.inner[2].register_forward_hook(
            lambda module, entered, left: called.append(module.training)
        )
        block(torch.ones(5, 3)).sum().backward()
        hook.remove()
    block(torch.ones(4, 3))
    assert called == [False]
    assert len(compiled) == 1

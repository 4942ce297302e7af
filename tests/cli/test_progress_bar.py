"""What the bar over images says while torch compiles. Oracles: torch's own compiler, and a clock set by hand."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from rich.progress import Progress

from diffloom.cli.progress import ImageProgress
from diffloom.nn.compilation import told_compiling
from diffloom.process import Step


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still; rich's bars read it too."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_bar_says_so_and_the_rate_is_that_of_drawing(clock: list[float]) -> None:
    """100 seconds of compiling, in two parts, and 4 in which 8 images are drawn."""
    bar = Progress(disable=True, get_time=time.monotonic)
    task = bar.add_task("sampling", total=8, rate="", text="")
    progress = ImageProgress(bar, task, title="sampling", images=8, steps=1)
    for seconds in (70.0, 30.0):
        progress.compiling(True)
        assert bar.tasks[0].description == "compiling"
        clock[0] += seconds
        progress.compiling(False)
        assert bar.tasks[0].description == "sampling"
    clock[0] += 4.0
    progress.on_step(cast(Step, SimpleNamespace(index=0, x_t_BCHW=range(8))))
    assert bar.tasks[0].fields["rate"] == "2 images/s"


def test_torch_tells_when_it_compiles() -> None:
    """Once for a graph, and for none that is there already; nobody is told outside."""
    torch._dynamo.reset()
    told: list[bool] = []
    double = torch.compile(lambda x: 2 * x, backend="eager", dynamic=False)
    with told_compiling(told.append):
        assert told == []
        double(torch.ones(3))
        assert told == [True, False]
        double(torch.ones(3))
        assert told == [True, False]
        double(torch.ones(4))
        assert told == [True, False] * 2
    double(torch.ones(5))
    assert told == [True, False] * 2

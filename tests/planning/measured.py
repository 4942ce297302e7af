"""Trains configurations and draws samples of them, and prints the most memory that torch's allocator gave out for each.

Run as `python measured.py PLUGIN COUNT FILE…`; each run's folder is beside its file. The figures are the profiler's:
every allocation and release on the CPU, whoever asked for it.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import diffloom
from diffloom import config
from diffloom.config import Document
from diffloom.plugins import load_plugins
from diffloom.training import train


def most(compute: Callable[[], Any]) -> int:
    """The most bytes at once, of those that were given out while `compute` ran."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kept = compute()
    del kept
    live = peak = 0
    for _, size in sorted(allocations(profiled.profiler.kineto_results.experimental_event_tree())):
        live += size
        peak = max(peak, live)
    return peak


def allocations(events: list[Any]) -> Iterator[tuple[int, int]]:
    """(time, bytes), negative where they are given back."""
    for event in events:
        if event.tag.name == "Allocation":
            yield event.start_time_ns, event.extra_fields.alloc_size
        yield from allocations(event.children)


def measured(file: Path, plugin: str, count: int) -> dict[str, int]:
    plugins = load_plugins((plugin,))
    resolved, folder = config.load(file, registry=plugins.registry), file.with_suffix("")
    found = {}
    if resolved.document.train is not None:
        found["training"] = most(lambda: train(resolved, folder, plugins=plugins, device="cpu"))
        found["checkpoint"] = max(folder.glob("checkpoints/*")).stat().st_size
    if isinstance(resolved.document, Document):
        conditions = {name: [0] * count for name in resolved.document.conditioners}

        def sample() -> Any:  # of a model that was never saved: a loaded one maps its whole file into memory
            return diffloom.build(file, device="cpu", plugins=[plugin]).sample(n=count, **conditions)

        found["sampling"] = most(sample)
    return found


def main(plugin: str, count: str, *files: str) -> None:
    print(json.dumps({Path(file).stem: measured(Path(file), plugin, int(count)) for file in files}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])

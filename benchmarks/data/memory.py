"""Memory that an epoch takes, of 2,000 small pictures and of 200,000, from every form that data come in.

python benchmarks/data/memory.py /tmp/pictures --write benchmarks/data/RESULTS.md

Each figure comes from a process of its own that opens the data as training does, and feeds one epoch of batches.
Anonymous memory is what the process holds for itself and cannot be taken from it; what is left of the resident set is
pages of files (the program's own, and those of a table mapped into memory), which the system drops when it needs room.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

FEW, MANY = 2_000, 200_000
BATCH = 100
SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "Parquet, held": ("table.parquet", {"type": "hugging_face", "conditions": ["label", "text"]}),
    "Parquet, streamed": ("table.parquet", {"type": "hugging_face", "streaming": True}),
    "tar shards, streamed": ("shards", {"type": "hugging_face", "streaming": True, "conditions": ["txt"]}),
    "folder with captions": ("folder", {"type": "captioned_folder"}),
}
"""What is measured: where it lies, and how it is read."""


class Watched:
    """The most memory that this process had since it was asked for, in MiB."""

    def __init__(self) -> None:
        self.anonymous = 0.0
        self.resident = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.look()

    def look(self) -> None:
        """Take note of what there is now."""
        lines = Path("/proc/self/status").read_text().splitlines()
        kib = {
            line.split(":")[0]: int(line.split()[1])
            for line in lines
            if line.startswith(("RssAnon", "VmRSS"))
        }
        self.anonymous = max(self.anonymous, kib["RssAnon"] / 1024)
        self.resident = max(self.resident, kib["VmRSS"] / 1024)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@dataclass(frozen=True)
class Figures:
    """Of one form and one size; memory in MiB."""

    start: float
    """Anonymous memory before the data were opened."""
    opened: float
    """The most of it until they were open."""
    epoch: float
    """The most of it until the epoch's end."""
    resident: float
    """The most of all memory."""
    open_seconds: float
    images_per_second: float


def measure(source: str, folder: Path, count: int, *, batches: int) -> Figures:
    """Open one form, in this process, and feed so much of it."""
    from diffloom.kinds import Data, ImageInfo, Stream
    from diffloom.training.beginning import Beginning
    from diffloom.training.feed import Feed
    from diffloom.training.split import Split
    from diffloom.training.stream_feed import StreamFeed

    name, fields = SOURCES[source]
    data: Data = configured(str(folder / str(count) / name), fields, cache=folder / "cache")
    image = ImageInfo(height=16, width=16, channels=3)
    warm = configured(str(folder / "10" / name), fields, cache=folder / "cache").build(image=image)
    examples = Beginning(warm) if isinstance(warm, Stream) else warm
    keys = tuple(set(examples.example(0, rng()).conditions) - {"size"})  # and all is imported
    watched = Watched()
    watched.look()
    start, began = watched.anonymous, time.perf_counter()
    built = data.build(image=image)
    watched.look()
    opened, seconds = watched.anonymous, time.perf_counter() - began
    split = Split(batch_size=BATCH)
    feed = (
        StreamFeed(stream=built, keys=keys, shape=image.shape, seed=0, split=split)
        if isinstance(built, Stream)
        else Feed(examples=built, keys=keys, shape=image.shape, seed=0, split=split)
    )
    began = time.perf_counter()
    fed = sum(len(batch.positions) for batch in feed.batches(first_step=0, last_step=batches))
    rate = fed / (time.perf_counter() - began)
    watched.look()
    watched.end()
    return Figures(start, opened, watched.anonymous, watched.resident, seconds, rate)


def configured(path: str, fields: dict[str, Any], *, cache: Path) -> Any:
    """The component, as a file's `data:` would give it."""
    from diffloom_data import CaptionedFolder
    from diffloom_hub_data import HuggingFace
    from diffloom_hub_data.from_column import FromColumn

    rest = {key: value for key, value in fields.items() if key not in ("type", "conditions")}
    if fields["type"] == "captioned_folder":
        return CaptionedFolder(path=path, **rest)
    columns = tuple(FromColumn(name=name, column=name) for name in fields.get("conditions", ()))
    return HuggingFace(path=path, cache=str(cache), conditions=columns or None, **rest)


def rng() -> Any:
    from diffloom.process import keyed_generator

    return keyed_generator(0, 0, 0, "example")


def figures_of(source: str, folder: Path, count: int, *, batches: int) -> Figures:
    """The same in a process of its own."""
    words = ["--measure", source, "--count", str(count), "--batches", str(batches)]
    command = [sys.executable, __file__, str(folder), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def report(rows: list[tuple[str, int, Figures]]) -> str:
    """RESULTS.md."""
    lines = [
        "# Memory of an epoch, whatever the set's size",
        "",
        "`python benchmarks/data/memory.py FOLDER --write benchmarks/data/RESULTS.md`: pictures of 16×16 with labels "
        "and captions, shuffled, read in batches of 100 without workers; a stream's buffer holds 1,000 records. A "
        "folder was looked through, and Parquet brought to Arrow, by an earlier start. In MiB: anonymous memory beyond "
        "what the process had before it opened the data, and the whole resident set, which counts pages of mapped "
        "files that the system drops when it needs room.",
        "",
        f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores shared with other work, Python "
        f"{platform.python_version()}, {versions()}. Speeds are of that machine, one core.",
        "",
        "| data | pictures | to open: MiB | to feed an epoch: MiB | resident set: MiB | to open: s | pictures/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, count, figures in rows:
        opened, epoch = figures.opened - figures.start, figures.epoch - figures.start
        lines.append(
            f"| {source} | {count:,} | {opened:.1f} | {epoch:.1f} | {figures.resident:.0f} | "
            f"{figures.open_seconds:.1f} | {figures.images_per_second:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def versions() -> str:
    import datasets
    import PIL
    import pyarrow
    import torch

    libraries = {"torch": torch, "datasets": datasets, "pyarrow": pyarrow, "Pillow": PIL}
    return ", ".join(f"{name} {library.__version__}" for name, library in libraries.items())


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Where the pictures are made, or lie from an earlier time.")
    parser.add_argument("--sources", nargs="*", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--write", type=Path, help="The page of results.")
    parser.add_argument(
        "--measure", choices=SOURCES, help="One form, in this process; --count says which size."
    )
    parser.add_argument("--count", type=int, default=FEW)
    parser.add_argument("--batches", type=int, default=1)
    options = parser.parse_args()
    if options.measure:
        figures = measure(options.measure, options.folder, options.count, batches=options.batches)
        print(json.dumps(figures.__dict__))
        return
    from sets import WRITERS

    for count in (10, FEW, MANY):
        for name, write in WRITERS.items():
            path = options.folder / str(count) / name
            if not path.exists() and any(SOURCES[source][0] == name for source in options.sources):
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, count)
    rows = []
    for source in options.sources:
        for count in (FEW, MANY):
            figures_of(source, options.folder, count, batches=1)  # brought to Arrow, every file looked at
            rows.append((source, count, figures_of(source, options.folder, count, batches=count // BATCH)))
            print(report(rows[-1:]).splitlines()[-1], flush=True)
    if options.write:
        options.write.write_text(report(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Sets of small pictures of noise with labels and captions, in the forms that data come in."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

SIDE = 16
SHARD = 10_000
"""Pictures in a tar, and in a sub-folder."""


def png(index: int) -> bytes:
    """Picture `index`, 900 bytes."""
    pixels_HWC = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def caption(index: int) -> str:
    """Its caption."""
    return f"noise of {SIDE} by {SIDE} pixels, grown from the seed {index}"


def write_parquet(path: Path, count: int) -> None:
    """One file, in row groups of a thousand."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=[str(i) for i in range(10)]),
            "text": datasets.Value("string"),
        }
    )

    def rows() -> Iterator[dict[str, object]]:
        for index in range(count):
            picture = {"bytes": png(index), "path": None}
            yield {"image": picture, "label": index % 10, "text": caption(index)}

    cache = path.parent / "generated"
    table = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(cache))
    table.to_parquet(path, batch_size=1000)


def write_shards(folder: Path, count: int) -> None:
    """WebDataset's form: tars of ten thousand pictures, each with its class and its caption."""
    folder.mkdir()
    for start in range(0, count, SHARD):
        with tarfile.open(folder / f"{start // SHARD:05}.tar", "w") as tar:
            for index in range(start, min(start + SHARD, count)):
                contents = {"png": png(index), "cls": b"%d" % (index % 10), "txt": caption(index).encode()}
                for suffix, content in contents.items():
                    member = tarfile.TarInfo(f"{index:07}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def write_folder(folder: Path, count: int) -> None:
    """Files in sub-folders of ten thousand, and their captions in JSON lines."""
    folder.mkdir()
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as lines:
        for index in range(count):
            name = f"{index // SHARD:03}/{index:07}.png"
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png(index))
            lines.write(json.dumps({"file": name, "caption": caption(index)}) + "\n")


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "table.parquet": write_parquet,
    "shards": write_shards,
    "folder": write_folder,
}
"""File or folder → what makes it."""

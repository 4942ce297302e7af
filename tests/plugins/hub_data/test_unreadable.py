"""Pictures that cannot be decoded. Oracle: rows that the test broke, each in a way of its own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom.process import keyed_generator
from diffloom_hub_data import HuggingFace

Opened = Callable[..., Any]
SOUND = 20


def png(index: int, *, size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (index, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Twenty sound rows, then one that is cut off, one that is no picture, one whose file is gone, one without any."""
    broken = [
        {"bytes": png(1, size=(99, 99))[:90], "path": "cut.png"},
        {"bytes": b"this is text", "path": None},
        {"bytes": None, "path": str(tmp_path / "gone.png")},
        None,
    ]
    rows = [*({"bytes": png(index), "path": None} for index in range(SOUND)), *broken]
    table = datasets.Dataset.from_dict(
        {"image": rows}, features=datasets.Features({"image": datasets.Image()})
    )
    parquet.write_table(
        table.with_format("arrow")[:], tmp_path / "rows.parquet"
    )  # the library looks for the file
    return str(tmp_path / "rows.parquet")


TOLD = [
    "image: cut.png cannot be read: ",
    "image: the picture cannot be read: cannot identify image file",
    "gone.png cannot be read: [Errno 2] No such file or directory",
    "image: no picture",
]


@pytest.mark.parametrize("streaming", [False, True])
def test_each_is_named(path: str, opened: Opened, streaming: bool) -> None:
    """As an error of the data, which a feed replaces and tells."""
    examples = opened(path, streaming=streaming)
    rng = keyed_generator(0, 0, 0, "example")
    for row, told in enumerate(TOLD, SOUND):
        record = next(examples.records(0, first=row)) if streaming else row
        with pytest.raises(DataError) as caught:
            examples.example(record, rng)
        assert told in str(caught.value)


def test_all_are_refused_at_the_start(path: str, opened: Opened) -> None:
    with pytest.raises(DataError) as caught:
        opened(path, unreadable="refuse")
    head, *listed = str(caught.value).splitlines()
    assert head == f"{path}: 4 problems; mend or remove these rows, or set `unreadable: replace`:"
    assert [line[line.rindex("(") :] for line in listed] == ["(20)", "(21)", "(22)", "(23)"]
    for line, told in zip(listed, TOLD, strict=True):
        assert told in line


def test_a_stream_cannot_be_looked_through(path: str, opened: Opened) -> None:
    with pytest.raises(DataError, match="which a stream does not allow"):
        opened(path, unreadable="refuse", streaming=True)


def test_a_shard_that_breaks_off(tmp_path: Path, opened: Opened) -> None:
    """A tar that lost its end: what comes before is given, then it is told how far that was."""
    import tarfile

    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for index in range(8):
            member = tarfile.TarInfo(f"{index}.png")
            member.size = len(png(index))
            tar.addfile(member, io.BytesIO(png(index)))
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 6 * 1024 + 560])
    stream = opened(str(tmp_path / "*.tar"), streaming=True)
    came = []
    with pytest.raises(DataError) as caught:
        came.extend(stream.records(0, first=0))
    assert str(caught.value).startswith(f"{tmp_path}/*.tar: shard 0 cannot be read beyond its record ")


class TestSizes:
    """What buckets are made from: the sizes of the pictures, read from their headers."""

    def test_upright_and_of_broken_ones_the_usual(self, tmp_path: Path) -> None:
        lying = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6  # turn it right to see it upright
        Image.new("RGB", (30, 20)).save(lying, "JPEG", exif=exif)
        rows = [png(0, size=(14, 10)), lying.getvalue(), b"none", png(0, size=(8, 16))]
        table = datasets.Dataset.from_dict(
            {"image": [{"bytes": row, "path": None} for row in rows]},
            features=datasets.Features({"image": datasets.Image()}),
        )
        table.to_parquet(tmp_path / "rows.parquet")
        shapes = ((8, 8), (8, 16), (16, 8))
        image = ImageInfo(height=8, width=8, channels=3, shapes=shapes)
        examples = HuggingFace(path=str(tmp_path / "rows.parquet")).build(image=image)
        assert examples.info.sizes is not None
        assert examples.info.sizes.tolist() == [[10, 14], [30, 20], [8, 8], [16, 8]]
        for index in (0, 1, 3):
            came = examples.example(index, np.random.default_rng(0)).image_CHW.shape  # type: ignore[union-attr, call-arg, arg-type]
            assert came == (3, *image.shape_for(tuple(examples.info.sizes[index].tolist())))

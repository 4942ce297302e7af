"""Every form that data come in gives the same examples. Oracles: the pixels and labels that were written; the component
`image_folder` on the same files."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diffloom.kinds import Example, ImageInfo
from diffloom.process import keyed_generator
from diffloom_data import ImageFolder
from diffloom_hub_data.from_column import FromColumn

Opened = Callable[..., Any]
Seen = Callable[[int], NDArray[np.float32]]
COUNT = 12
NAMED = {"conditions": (FromColumn(name="label", column="number", classes=("cat", "dog", "owl")),)}
FORMS: dict[str, dict[str, Any]] = {
    "parquet": {"picture": "image"},
    "several parquet": {"picture": "image"},
    "folder of parquet": {"picture": "image"},
    "saved": {"picture": "image"},
    "saved splits": {"picture": "image"},
    "arrow": {"picture": "image"},
    "jsonl": {"picture": "file_name", **NAMED},
    "csv": {"picture": "file_name", **NAMED},
    "pictures": {},
    "described": NAMED,
    "webdataset": {"conditions": (FromColumn(name="label", column="cls", classes=("cat", "dog", "owl")),)},
}


def rng(index: int = 0) -> np.random.Generator:
    return keyed_generator(0, index, 0, "example")


def streamed(stream: Any) -> list[Example]:
    """All examples, shard after shard."""
    records = (record for shard in range(stream.shards) for record in stream.records(shard, first=0))
    return [stream.example(record, rng()) for record in records]


@pytest.mark.parametrize("form", FORMS)
def test_held_and_streamed(form: str, places: dict[str, str], opened: Opened, seen: Seen) -> None:
    """In the order of the files; a folder of pictures in that of its sub-folders."""
    order = sorted(range(COUNT), key=lambda index: index % 3) if form == "pictures" else list(range(COUNT))
    held = opened(places[form], **FORMS[form])
    stream = opened(places[form], streaming=True, **FORMS[form])
    assert len(held) == held.info.examples == COUNT
    assert held.info.classes == stream.info.classes == {"label": ("cat", "dog", "owl")}
    for examples in ([held.example(index, rng()) for index in range(COUNT)], streamed(stream)):
        assert [example.conditions["label"] for example in examples] == [index % 3 for index in order]
        for index, example in zip(order, examples, strict=True):
            assert np.array_equal(example.image_CHW, seen(index))


@pytest.mark.parametrize(
    ("form", "shards"),
    [("parquet", 3), ("folder of parquet", 3), ("webdataset", 3), ("jsonl", 1), ("saved", 1)],
)
def test_shards(form: str, shards: int, places: dict[str, str], opened: Opened) -> None:
    """Files, or of Parquet the row groups: each is read by itself."""
    stream = opened(places[form], streaming=True, **FORMS[form])
    assert stream.shards == shards
    parts = [list(stream.records(shard, first=0)) for shard in range(shards)]
    assert sum(map(len, parts)) == COUNT
    assert list(islice(stream.records(shards - 1, first=2), 2)) == parts[-1][2:4]


def test_as_image_folder_sees_them(places: dict[str, str], opened: Opened, image: ImageInfo) -> None:
    """The same crops and flips with the same keys."""
    fields: dict[str, Any] = {"crop": "random", "flip": True}
    ours = opened(places["pictures"], **fields)
    peer = ImageFolder(path=places["pictures"], **fields).build(image=image)
    assert not isinstance(peer, type(ours))
    for index in range(COUNT):
        for key in range(4):
            one, other = (examples.example(index, rng(10 * index + key)) for examples in (ours, peer))
            assert np.array_equal(one.image_CHW, other.image_CHW)
            assert one.conditions == other.conditions


def test_a_part_of_a_split(places: dict[str, str], opened: Opened, seen: Seen) -> None:
    last = opened(places["parquet"], picture="image", split="train[75%:]")
    assert len(last) == 3
    assert np.array_equal(last.example(0, rng()).image_CHW, seen(9))
    one = opened(places["saved splits"], picture="image", split="test")
    assert len(one) == 1


@pytest.mark.parametrize("resize", ["cover", "stretch", "none"])
def test_resizing_and_grey(resize: str, places: dict[str, str], opened: Opened, image: ImageInfo) -> None:
    """As `image_folder` does, to one channel too."""
    ours = opened(places["pictures"], resize=resize)
    peer = ImageFolder(path=places["pictures"], resize=resize).build(image=image)  # type: ignore[arg-type]
    one, other = (examples.example(5, rng()).image_CHW for examples in (ours, peer))
    assert np.array_equal(one, other)

"""The laws of data that are a stream, on a right one and on mistakes made in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from diffloom.errors import DataError
from diffloom.kinds import Data, DataInfo, Example, ImageInfo


class Ribbons(Data):
    """Three shards of striped pictures, right or with one mistake."""

    name = "ribbons"

    mistake: str = ""
    """Which."""

    def build(self, *, image: ImageInfo) -> Any:
        if image.channels > 3:
            raise DataError("grey or colour only")
        return RibbonStream(self.mistake, image)


class RibbonStream:
    def __init__(self, mistake: str, image: ImageInfo) -> None:
        self.mistake, self.image = mistake, image
        self.info = DataInfo(
            examples=0 if mistake == "says it is empty" else None, classes={"label": ("a", "b")}
        )
        self.shards = 0 if mistake == "no shards" else 3
        self.shuffle_buffer = 0 if mistake == "no buffer" else 10
        self.place = 0

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        bug = self.mistake
        begin = 0 if bug == "begins at the beginning" else first
        begin += 1 if bug == "leaves one out" and first else 0
        numbers = range(begin, 8)
        if bug == "goes round":
            numbers = range(begin % 8, 8)
        for number in numbers:
            self.place += 1
            yield (shard, self.place if bug == "goes on where it was" else number)

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        shard, number = record
        wave = np.sin((8 * shard + number + 1) * np.arange(self.image.width) / 3)
        picture = np.broadcast_to(wave.astype(np.float32), self.image.shape) * np.float32(rng.uniform(0.5, 1))
        return Example(picture, {"label": number % (3 if self.mistake == "a label too many" else 2)})


def test_a_right_stream_passes(passes: Callable[..., None]) -> None:
    passes(Ribbons)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("says it is empty", "opens"),
        ("a label too many", "names_its_conditions"),
        ("no buffer", "gives_the_same_records_from_any_on"),
        ("begins at the beginning", "gives_the_same_records_from_any_on"),
        ("leaves one out", "gives_the_same_records_from_any_on"),
        ("goes round", "gives_the_same_records_from_any_on"),
        ("goes on where it was", "gives_the_same_records_from_any_on"),
    ],
)
def test_a_mistake_in_a_stream_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Ribbons, mistake=mistake)


def test_a_stream_without_shards(check_component: Callable[..., Any]) -> None:
    """Nothing can be read of it, so all laws that read say so."""
    broken = {failure.check for failure in check_component(Ribbons, mistake="no shards")}
    assert {"opens", "gives_pictures", "gives_the_same_records_from_any_on"} <= broken

"""Memory does not grow with the set. Oracles: Python's own count of what is allocated; sizes of pickles."""

from __future__ import annotations

import io
import pickle
import tracemalloc
from collections.abc import Callable
from typing import Any

import datasets
import pytest
from PIL import Image

from diffloom.process import keyed_generator
from diffloom_hub_data.from_column import FromColumn

Opened = Callable[..., Any]
FEW, MANY = 100, 4000
COLUMNS = (
    FromColumn(name="label", column="label", classes=("a", "b", "c")),
    FromColumn(name="prompt", column="text"),
)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Pictures of 4×4 with a label and a caption: few, and many."""
    folder = tmp_path_factory.mktemp("many")
    buffer = io.BytesIO()
    Image.effect_noise((4, 4), 50).convert("RGB").save(buffer, "PNG")
    features = {"image": datasets.Image(), "label": datasets.Value("int64"), "text": datasets.Value("string")}
    paths = {}
    for count in (FEW, MANY):
        rows = {
            "image": [{"bytes": buffer.getvalue(), "path": None}] * count,
            "label": [index % 3 for index in range(count)],
            "text": [f"a caption of some length, number {index}" for index in range(count)],
        }
        table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        paths[count] = str(folder / f"{count}.parquet")
        table.to_parquet(paths[count], batch_size=50)
    return paths


def kept(act: Callable[[], Any]) -> int:
    """Bytes that are allocated after an act beside those before, its result included."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = act()
        after, _ = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return after - before


def test_an_open_table(paths: dict[int, str], opened: Opened) -> None:
    """3,900 rows more, looked through at the start: a byte each for the label, and no row's content."""

    def build(count: int) -> Any:
        return opened(paths[count], conditions=COLUMNS)

    build(FEW), build(MANY)  # brought to Arrow, and imported what is imported once
    few, many = (kept(lambda count=count: build(count)) for count in (FEW, MANY))
    assert many - few < 10 * (MANY - FEW)  # a caption takes 90


def test_reading_on(paths: dict[int, str], opened: Opened) -> None:
    """Of five hundred examples nothing stays, once Python's and pyarrow's lists of spare objects are full."""
    examples = opened(paths[MANY], conditions=COLUMNS)

    def read(rows: range) -> None:
        for index in rows:
            examples.example(index, keyed_generator(0, index, 0, "example"))

    read(range(2000))
    assert kept(lambda: read(range(2000, 2500))) < 20_000  # a picture and its caption take 400 each


def test_what_workers_are_sent(paths: dict[int, str], opened: Opened) -> None:
    """File names; of labels a byte each; no picture and no caption."""
    few, many = (len(pickle.dumps(opened(paths[count], conditions=COLUMNS))) for count in (FEW, MANY))
    assert many - few < 1.5 * (MANY - FEW)
    again = pickle.loads(pickle.dumps(opened(paths[FEW], conditions=COLUMNS)))
    assert again.info.captions["prompt"][7] == "a caption of some length, number 7"


def test_captions_are_not_held(paths: dict[int, str], opened: Opened) -> None:
    captions = opened(paths[MANY], conditions=COLUMNS).info.captions["prompt"]
    assert sum(1 for _ in captions) == MANY
    assert kept(lambda: sum(map(len, captions))) < 20_000

"""Data sets on disk for the tests of `hugging_face`, in every form; the library's cache in a folder of the tests'."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import datasets
import huggingface_hub.constants
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from diffloom.kinds import Data, ImageInfo
from diffloom.process import keyed_generator
from diffloom_hub_data import HuggingFace

COUNT = 12
CLASSES = ("cat", "dog", "owl")
IMAGE = ImageInfo(height=8, width=8, channels=3)


@pytest.fixture(autouse=True, scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """datasets without network, without bars, and with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        datasets.disable_progress_bars()
        yield
        datasets.enable_progress_bars()


@pytest.fixture(scope="session")
def image() -> ImageInfo:
    """The model's picture: what the tests' pictures are larger than."""
    return IMAGE


def pixels(index: int, *, height: int = 10, width: int = 14) -> NDArray[np.uint8]:
    """(H, W, C) of noise, which no one mistakes for another's."""
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(index: int, **size: int) -> bytes:
    """The same as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(index, **size)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def seen() -> Callable[[int], NDArray[np.float32]]:
    """What the model sees of picture `index` where nothing is random: the middle 8×8 of 10×14, scaled by 0.8."""

    def see(index: int) -> NDArray[np.float32]:
        whole = Image.fromarray(pixels(index))
        view = whole.resize((8, 8), Image.Resampling.BICUBIC, box=(2, 0, 12, 10))
        return np.asarray(view, np.float32).transpose(2, 0, 1) / np.float32(127.5) - 1

    return see


@pytest.fixture(scope="session")
def table() -> datasets.Dataset:
    """Twelve pictures; labels with names, without, and as names; a caption, several; a mask; fields; numbers."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(CLASSES)),
            "number": datasets.Value("int64"),
            "animal": datasets.Value("string"),
            "caption": datasets.Value("string"),
            "captions": datasets.List(datasets.Value("string")),
            "meta": {"caption": datasets.Value("string"), "score": datasets.Value("float32")},
            "mask": datasets.Image(),
        }
    )
    masks = [Image.fromarray(np.uint8(255) * (pixels(index)[..., 0] > 127)) for index in range(COUNT)]
    return datasets.Dataset.from_dict(
        {
            "image": [{"bytes": encoded(index), "path": f"{index}.png"} for index in range(COUNT)],
            "label": [index % 3 for index in range(COUNT)],
            "number": [index % 3 for index in range(COUNT)],
            "animal": [CLASSES[index % 3] for index in range(COUNT)],
            "caption": [f" picture {index}\n" for index in range(COUNT)],
            "captions": [
                [f"{index} a", f"{index} b", f"{index} c"][: 1 + index % 3] for index in range(COUNT)
            ],
            "meta": [{"caption": f"meta {index}", "score": index / 8} for index in range(COUNT)],
            "mask": masks,
        },
        features=features,
    )


@pytest.fixture(scope="session")
def parquet(tmp_path_factory: pytest.TempPathFactory, table: datasets.Dataset) -> str:
    """The table in one file of three row groups."""
    path = tmp_path_factory.mktemp("parquet") / "table.parquet"
    table.to_parquet(path, batch_size=5)
    return str(path)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory, table: datasets.Dataset, parquet: str) -> dict[str, str]:
    """Form → the path of the same twelve pictures with the same labels in it."""
    folder = tmp_path_factory.mktemp("places")
    table.save_to_disk(folder / "saved")
    datasets.DatasetDict(train=table, test=table.select([0])).save_to_disk(folder / "saved_splits")
    for name in ("named", "pictures", "described", "shards", "several"):
        (folder / name).mkdir()
    rows = []
    for index in range(COUNT):
        (folder / "named" / f"{index:02}.png").write_bytes(encoded(index))
        (folder / "described" / f"{index:02}.png").write_bytes(encoded(index))
        (folder / "pictures" / CLASSES[index % 3]).mkdir(exist_ok=True)
        (folder / "pictures" / CLASSES[index % 3] / f"{index:02}.png").write_bytes(encoded(index))
        rows.append({"file_name": f"{index:02}.png", "number": index % 3})
    (folder / "named" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = ["file_name,number", *(f"{row['file_name']},{row['number']}" for row in rows)]
    (folder / "named" / "rows.csv").write_text("\n".join(lines))
    (folder / "described" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for shard in range(3):
        table.select(range(4 * shard, 4 * shard + 4)).to_parquet(folder / "several" / f"{shard}.parquet")
        with tarfile.open(folder / "shards" / f"{shard}.tar", "w") as tar:
            for index in range(4 * shard, 4 * shard + 4):
                caption = json.dumps({"caption": f"meta {index}"}).encode()
                for suffix, content in (
                    ("png", encoded(index)),
                    ("cls", b"%d" % (index % 3)),
                    ("json", caption),
                ):
                    member = tarfile.TarInfo(f"{index:02}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return {
        "parquet": parquet,
        "several parquet": str(folder / "several" / "*.parquet"),
        "folder of parquet": str(folder / "several"),
        "saved": str(folder / "saved"),
        "saved splits": str(folder / "saved_splits"),
        "arrow": str(folder / "saved" / "*.arrow"),
        "jsonl": str(folder / "named" / "rows.jsonl"),
        "csv": str(folder / "named" / "rows.csv"),
        "pictures": str(folder / "pictures"),
        "described": str(folder / "described"),
        "webdataset": str(folder / "shards"),
    }


@pytest.fixture(scope="session")
def opened() -> Callable[..., Any]:
    """What a configuration builds."""

    def build(path: str, **fields: Any) -> Any:
        component: Data = HuggingFace(path=path, **fields)
        return component.build(image=IMAGE)

    return build


@pytest.fixture
def rng() -> np.random.Generator:
    return keyed_generator(0, 0, 0, "example")

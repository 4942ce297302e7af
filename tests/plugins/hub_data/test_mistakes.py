"""What is wrong with a configuration or its data is told once, all of it. Oracle: what the test did wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from diffloom.errors import DataError
from diffloom.kinds import ImageInfo
from diffloom_hub_data import HuggingFace
from diffloom_hub_data.from_column import FromColumn

Opened = Callable[..., Any]


@pytest.fixture(scope="session")
def refusal(opened: Opened) -> Callable[..., str]:
    """What opening something says."""

    def refuse(path: str, **fields: Any) -> str:
        with pytest.raises(DataError) as caught:
            opened(path, **fields)
        return str(caught.value)

    return refuse


Refusal = Callable[..., str]


class TestPlaces:
    def test_nothing_there(self, refusal: Refusal, tmp_path: Path) -> None:
        path = f"{tmp_path}/no such.parquet"
        assert refusal(path).startswith(
            f"{path}: no such file or folder, and no name on the hub either, which is"
        )

    def test_several_formats(self, refusal: Refusal, places: dict[str, str]) -> None:
        folder = str(Path(places["jsonl"]).parent)
        told = refusal(folder)
        assert told.startswith(f"{folder}: holds files of several formats (12 of imagefolder, 1 of ")
        assert told.endswith("; say with `format` which ones are meant")

    def test_hidden_things_do_not_count(self, opened: Opened, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        (tmp_path / ".thumbnails").mkdir()
        (tmp_path / ".thumbnails" / "a.csv").write_text("a")
        assert len(opened(str(tmp_path))) == 1

    def test_nothing_known(self, refusal: Refusal, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("x")
        assert refusal(str(tmp_path)).startswith(
            f"{tmp_path}: holds no pictures and no files that end in .parquet"
        )

    def test_a_damaged_file(self, refusal: Refusal, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        path.write_text("no parquet")
        for streaming in (False, True):
            told = refusal(str(path), streaming=streaming)
            assert told.startswith(f"{path}: cannot be read with `datasets`: Parquet magic bytes not found")

    @pytest.mark.parametrize("streaming", [False, True])
    def test_another_split(self, refusal: Refusal, places: dict[str, str], streaming: bool) -> None:
        told = refusal(places["folder of parquet"], split="test", streaming=streaming)
        assert "cannot be read with `datasets`" in told
        assert "test" in told
        assert "train" in told

    def test_of_a_saved_data_set(self, refusal: Refusal, places: dict[str, str]) -> None:
        assert "it has no split valid; it has train, test" in refusal(places["saved splits"], split="valid")
        assert "set `split: train`" in refusal(places["saved"], split="train[:3]")

    def test_what_only_the_hub_has(self, refusal: Refusal, parquet: str) -> None:
        for field in ("configuration", "revision"):
            assert refusal(parquet, **{field: "x"}) == (
                f"data.{field}: {parquet} is on disk; only data sets of the hub have a {field}"
            )

    def test_without_the_library(
        self, refusal: Refusal, parquet: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        assert "pip install 'diffloom[datasets]'" in refusal(parquet)


class TestTheHub:
    def test_without_network(self, refusal: Refusal) -> None:
        told = refusal("owner/name")
        assert told.startswith("owner/name: no such file or folder here, and the hub cannot be reached (")
        assert told.endswith("check the path, or the network; offline, name files on disk")

    def test_what_it_is_asked_for(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch, table: datasets.Dataset
    ) -> None:
        """A name goes to the library with all that the configuration says of it."""
        asked: list[tuple[Any, ...]] = []

        def load(*words: Any, **options: Any) -> datasets.Dataset:
            asked.append((*words, options))
            return table

        monkeypatch.setattr(datasets, "load_dataset", load)
        examples = opened(
            "owner/name",
            configuration="large",
            revision="v2",
            split="train[:10]",
            picture="image",
            cache="here",
        )
        assert len(examples) == 12
        options = {"revision": "v2", "split": "train[:10]", "streaming": False, "cache_dir": "here"}
        assert asked == [("owner/name", "large", options)]

    def test_a_name_that_nobody_has(self, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
        def load(*words: Any, **options: Any) -> None:
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'owner/name' doesn't exist on the Hub")

        monkeypatch.setattr(datasets, "load_dataset", load)
        assert "no such data set on the hub, or none that one may read without logging in" in refusal(
            "owner/name"
        )


class TestColumns:
    def test_which_picture(self, refusal: Refusal, parquet: str) -> None:
        head, told = refusal(parquet).splitlines()
        assert head.startswith(
            f"{parquet}: its columns are image (Image), label (ClassLabel), number (int64)"
        )
        assert "captions (lists of string), meta (fields caption, score)" in head
        assert told == "  data.picture: say which of image, mask is the picture; the others can be conditions"

    def test_no_picture(self, refusal: Refusal, places: dict[str, str]) -> None:
        assert "data.picture: no column holds pictures; name the one that holds the names" in refusal(
            places["csv"]
        )

    def test_everything_at_once(self, refusal: Refusal, parquet: str) -> None:
        wrong = (
            FromColumn(name="a", column="nothing"),
            FromColumn(name="b", column="meta.nothing"),
            FromColumn(name="c", column="meta"),
            FromColumn(name="d", column="label", classes=("x",)),
            FromColumn(name="e", column="captions", classes=("x",)),
            FromColumn(name="f", column="image", mask="number"),
            FromColumn(name="f", column="caption"),
        )
        _, *told = refusal(parquet, picture="number", conditions=wrong).splitlines()
        assert told == [
            "  data.picture: number holds int64, neither pictures nor names of files",
            "  data.conditions[0]: there is no column nothing",
            "  data.conditions[1]: there is no column meta.nothing",
            "  data.conditions[2]: meta holds fields caption, score: conditions are class labels, text, numbers or "
            "pictures",
            "  data.conditions[3]: label has classes of its own: cat, dog, owl; leave `classes` out",
            "  data.conditions[4]: captions holds lists of string, which are no labels; leave `classes` out",
            "  data.conditions[5]: number holds int64, neither pictures nor names of files",
            "  data.conditions[6]: f is there already",
        ]

    def test_channels(self, parquet: str) -> None:
        with pytest.raises(DataError, match="hugging_face gives pictures with 1 channel"):
            HuggingFace(path=parquet).build(image=ImageInfo(height=4, width=4, channels=4))

    def test_unknown_words(self) -> None:
        with pytest.raises(ValidationError):
            HuggingFace(path="x", format="pickle")  # type: ignore[arg-type]


class TestRows:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        """Two sound rows of nine."""
        rows = {
            "image": [Image.new("RGB", (8, 8))] * 9,
            "label": [0, 1, None, 7, -1, 7, 7, 7, 1],
            "text": ["a", "", " \t", None, "b", "c", "d", "e", "f"],
            "texts": [["a"], ["b"], ["c"], [], None, ["d", ""], [None], ["e"], ["f", "g"]],
            "x": [1.0, None, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        }
        text = datasets.Value("string")
        features = {
            "image": datasets.Image(),
            "label": datasets.Value("int64"),
            "text": text,
            "texts": datasets.List(text),
            "x": datasets.Value("float64"),
        }
        table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        table.to_parquet(tmp_path / "rows.parquet")
        return str(tmp_path / "rows.parquet")

    def columns(self) -> tuple[FromColumn, ...]:
        label = FromColumn(name="label", column="label", classes=("cat", "dog"))
        return (label, *(FromColumn(name=name, column=name) for name in ("text", "texts", "x")))

    def test_counted_by_kind_all_at_once(self, refusal: Refusal, path: str) -> None:
        head, *told = refusal(path, conditions=self.columns()).splitlines()
        assert head == f"{path}: 14 problems; mend or remove these rows, or leave the condition out:"
        assert told == [
            "  label: 7 is no id of the 2 classes, which begin at 0: 4 rows (3, 5, 6, …)",
            "  text: an empty caption: 2 rows (1, 2)",
            "  texts: no caption: 2 rows (3, 4)",
            "  texts: an empty caption: 2 rows (5, 6)",
            "  label: no label: 1 row (2)",
            "  label: -1 is no id of the 2 classes, which begin at 0: 1 row (4)",
            "  text: no caption: 1 row (3)",
            "  x: no number: 1 row (1)",
        ]

    def test_very_many_kinds(self, refusal: Refusal, tmp_path: Path) -> None:
        rows = [f'{{"image": "a.png", "label": {number}}}' for number in range(100)]
        (tmp_path / "rows.jsonl").write_text("\n".join(rows))
        label = (FromColumn(name="label", column="label", classes=("cat",)),)
        head, *told = refusal(str(tmp_path / "rows.jsonl"), picture="image", conditions=label).splitlines()
        assert head.endswith(
            "rows.jsonl: 99 problems; mend or remove these rows, or leave the condition out:"
        )
        assert len(told) == 21
        assert told[-1] == "  … and 79 kinds more"

    def test_in_a_stream_each_when_it_is_met(self, opened: Opened, path: str) -> None:
        stream = opened(path, conditions=self.columns(), streaming=True)
        told = []
        for record in stream.records(0, first=0):
            try:
                stream.example(record, np.random.default_rng(0))
                told.append("")
            except DataError as error:
                told.append(str(error))
        assert told == [
            "",
            "text: an empty caption",
            "label: no label",
            "label: 7 is no id of the 2 classes, which begin at 0",
            "label: -1 is no id of the 2 classes, which begin at 0",
            *["label: 7 is no id of the 2 classes, which begin at 0"] * 3,
            "",
        ]

"""Columns become conditions. Oracles: what the test wrote into the table; `diffloom.picture` on the same pixels; the
conditioner that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from diffloom.kinds import ImageInfo
from diffloom.picture import Framing
from diffloom.process import keyed_generator
from diffloom_hub_data.from_column import FromColumn
from diffloom_hub_data.values import label
from diffloom_image import ImageCondition

Opened = Callable[..., Any]
COUNT = 12


def rng(index: int = 0) -> np.random.Generator:
    return keyed_generator(0, index, 0, "example")


def source(**fields: Any) -> dict[str, Any]:
    """The condition `it` from a column."""
    return {"picture": "image", "conditions": (FromColumn(name="it", **fields),)}


def values(examples: Any) -> list[Any]:
    return [examples.example(index, rng(index)).conditions["it"] for index in range(COUNT)]


class TestLabels:
    def test_class_labels_give_themselves(self, parquet: str, opened: Opened) -> None:
        examples = opened(parquet, picture="image")
        assert examples.info.classes == {"label": ("cat", "dog", "owl")}
        assert examples.info.labels["label"].tolist() == [index % 3 for index in range(COUNT)]
        assert examples.info.labels["label"].dtype == np.uint8

    @pytest.mark.parametrize("column", ["number", "animal"])
    def test_ids_and_names_of_classes(self, column: str, parquet: str, opened: Opened) -> None:
        examples = opened(parquet, **source(column=column, classes=("cat", "dog", "owl")))
        assert values(examples) == [index % 3 for index in range(COUNT)]
        assert {type(value) for value in values(examples)} == {int}
        assert examples.info.classes == {"it": ("cat", "dog", "owl")}

    @pytest.mark.parametrize("value", [None, -1, 3, 1.5, float("inf"), float("nan"), "cow", "0"])
    def test_what_is_none(self, value: Any) -> None:
        with pytest.raises(ValueError, match=r"label|classes"):
            label(value, ("cat", "dog", "owl"))

    @pytest.mark.parametrize("value", [1, 1.0, True, "dog"])
    def test_what_is_one(self, value: Any) -> None:
        assert label(value, ("cat", "dog", "owl")) == 1

    def test_in_another_order(self, parquet: str, opened: Opened) -> None:
        examples = opened(parquet, **source(column="animal", classes=("owl", "dog", "cat")))
        assert values(examples) == [2 - index % 3 for index in range(COUNT)]


class TestCaptions:
    def test_one_each(self, parquet: str, opened: Opened) -> None:
        examples = opened(parquet, **source(column="caption"))
        assert values(examples) == [f"picture {index}" for index in range(COUNT)]
        assert list(examples.info.captions["it"]) == values(examples)

    def test_a_field_of_a_column(self, parquet: str, opened: Opened) -> None:
        examples = opened(parquet, **source(column="meta.caption"))
        assert values(examples) == [f"meta {index}" for index in range(COUNT)]
        assert examples.info.captions["it"][3] == "meta 3"

    def test_several(self, parquet: str, opened: Opened) -> None:
        """Each of three is drawn about as often: χ² with 2 degrees of freedom passes 13.8 once in a thousand."""
        examples = opened(parquet, **source(column="captions"))
        drawn = [examples.example(2, rng(key)).conditions["it"] for key in range(300)]
        counts = np.array([drawn.count(f"2 {letter}") for letter in "abc"])
        assert counts.sum() == 300
        assert ((counts - 100) ** 2 / 100).sum() < 13.8

    def test_the_first_of_several(self, parquet: str, opened: Opened) -> None:
        examples = opened(parquet, several="first", **source(column="captions"))
        assert values(examples) == [f"{index} a" for index in range(COUNT)]
        assert list(examples.info.captions["it"]) == values(examples)

    def test_all_of_them_as_a_sequence(self, tmp_path: Any, opened: Opened) -> None:
        """2,500 rows of one to three captions: as a list has them, by number, from behind and in slices."""
        known = [[f"{row} {letter}" for letter in "abc"[: 1 + row % 3]] for row in range(2500)]
        picture = {"bytes": opened.__module__.encode(), "path": None}  # never looked at
        features = datasets.Features(
            {"image": datasets.Image(), "text": datasets.List(datasets.Value("string"))}
        )
        rows = {"image": [picture] * 2500, "text": known}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "t.parquet")
        captions = opened(str(tmp_path / "t.parquet"), **source(column="text")).info.captions["it"]
        flat = [caption for row in known for caption in row]
        assert len(captions) == len(flat)
        assert list(captions) == flat
        for index in (0, 1, 1999, 2000, 2001, len(flat) - 1, -1, -len(flat)):
            assert captions[index] == flat[index]
        assert captions[1990:2010:3] == flat[1990:2010:3]
        with pytest.raises(IndexError):
            captions[len(flat)]


class TestNumbers:
    def test_as_they_are(self, parquet: str, opened: Opened) -> None:
        assert values(opened(parquet, **source(column="meta.score"))) == [index / 8 for index in range(COUNT)]
        assert values(opened(parquet, **source(column="number"))) == [index % 3 for index in range(COUNT)]

    def test_the_pictures_size_comes_by_itself(self, parquet: str, opened: Opened) -> None:
        conditions = opened(parquet, picture="image").example(0, rng()).conditions
        assert conditions["size"] == {
            "original_size": (10, 14),
            "crop_top_left": (0, 2),  # a column and a half of the 8 scaled ones, rounded to even
            "target_size": (8, 8),
        }

    def test_a_column_may_give_it(self, parquet: str, opened: Opened) -> None:
        column = (FromColumn(name="size", column="number"),)
        conditions = opened(parquet, picture="image", conditions=column).example(2, rng()).conditions
        assert conditions["size"] == 2


class TestPictures:
    def test_a_second_picture_in_the_same_frame(
        self, tmp_path: Any, opened: Opened, image: ImageInfo
    ) -> None:
        """Half as large as the first, cropped at random and mirrored: the same part, as the frame itself sees it."""
        large = [
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 28, 3), np.uint8))
            for i in range(3)
        ]
        small = [picture.resize((14, 10)) for picture in large]
        datasets.Dataset.from_dict({"after": large, "before": small}).to_parquet(tmp_path / "pairs.parquet")
        column = (FromColumn(name="it", column="before"),)
        examples = opened(
            str(tmp_path / "pairs.parquet"), picture="after", conditions=column, crop="random", flip=True
        )
        mirrored = set()
        for index in range(3):
            for key in range(8):
                frame = Framing(crop="random", flip=True).draw((20, 28), shape=(8, 8), rng=rng(key))
                came = examples.example(index, rng(key)).conditions["it"]
                assert np.array_equal(np.asarray(came), np.asarray(frame.of(small[index])))
                mirrored.add(frame.mirrored)
        assert mirrored == {True, False}

    def test_a_picture_and_its_mask(self, parquet: str, opened: Opened) -> None:
        """As the conditioner takes them; the mask is of the very pixels that it masks."""
        examples = opened(parquet, resize="none", **source(column="image", mask="mask"))
        conditioner = ImageCondition(mask=True)
        for index in range(COUNT):
            example = examples.example(index, rng())
            picture = conditioner.check(example.conditions["it"])
            assert np.array_equal(picture.pixels_CHW, example.image_CHW)
            assert picture.mask_HW is not None
            assert np.array_equal(picture.mask_HW, example.image_CHW[0] > 127.5 / 127.5 - 1 + 1e-6)

    def test_of_another_shape(self, tmp_path: Any, opened: Opened) -> None:
        pictures = [Image.new("RGB", size) for size in ((10, 10), (10, 12))]
        rows = {"a": [pictures[0]], "b": [pictures[1]]}
        datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "p.parquet")
        examples = opened(
            str(tmp_path / "p.parquet"), picture="a", conditions=(FromColumn(name="it", column="b"),)
        )
        with pytest.raises(
            ValueError, match=r"b: 12×10 pixels, beside a picture of 10×10; .* one aspect ratio"
        ):
            examples.example(0, rng())

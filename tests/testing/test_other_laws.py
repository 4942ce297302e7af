"""The laws of objectives and data, on right ones and on mistakes made in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from diffloom.errors import DataError
from diffloom.kinds import Data, DataInfo, Example, ImageInfo


class Stripes(Data):
    """Twelve striped pictures with a label, right or with one mistake."""

    name = "stripes"

    mistake: str = ""
    """Which."""

    @property
    def deterministic(self) -> bool:
        return self.mistake == "calls itself deterministic"

    def build(self, *, image: ImageInfo) -> Any:
        if image.channels > 3 or self.mistake == "refuses everything":
            raise DataError("grey or colour only")
        return StripeExamples(self.mistake, image)


class StripeExamples:
    def __init__(self, mistake: str, image: ImageInfo) -> None:
        self.mistake, self.image = mistake, image
        self.cache: dict[int, np.ndarray] = {}
        self.calls = 0

    @property
    def info(self) -> DataInfo:
        bug = self.mistake
        return DataInfo(
            examples=13 if bug == "counts one more" else 12,
            classes={"label": ("a", "b", "c")},
            labels={
                "other" if bug == "labels of no classes" else "label": np.arange(
                    11 if bug == "a label too few" else 12
                )
                % (2 if bug == "other labels" else 3)
            },
            sizes=np.array([(10, 10 + 20 * index) for index in range(11 if bug == "a size too few" else 12)]),
        )

    def __len__(self) -> int:
        return 12

    def example(self, index: int, rng: np.random.Generator) -> Example:
        bug = self.mistake
        self.calls += 1
        frequency = 1 if bug == "one picture" else index + 1
        height, width = self.image.shape_for((10, 10 + 20 * index))
        if bug == "one bucket":
            height, width = self.image.height, self.image.width
        row = np.sin(frequency * np.arange(width) / 3).astype(np.float32)
        picture = np.broadcast_to(row, (self.image.channels, height, width)).copy()
        draw = np.random.default_rng(self.calls) if bug == "draws of its own" else rng
        picture *= 1.0 if bug == "one picture" else np.float32(draw.uniform(0.5, 1.0))
        if bug == "bytes":
            picture = (picture + 1) * 127
        if bug == "float64":
            picture = picture.astype(np.float64)
        if bug == "channels last":
            picture = picture.transpose(1, 2, 0)
        if bug == "hands out its cache":
            picture = self.cache.setdefault(index, picture)
        label: Any = 3 if bug == "a label too many" else index % 3
        if bug == "an unknown name":
            label = "d"
        conditions = (
            {} if bug == "no label" or (bug == "a label now and then" and index % 2) else {"label": label}
        )
        return Example(picture, conditions)


def test_right_data_pass(passes: Callable[..., None]) -> None:
    passes(Stripes)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("refuses everything", "opens"),
        ("counts one more", "opens"),
        ("bytes", "gives_pictures"),
        ("float64", "gives_pictures"),
        ("channels last", "gives_pictures"),
        ("one picture", "gives_pictures"),
        ("draws of its own", "depends_on_index_and_rng_alone"),
        ("hands out its cache", "depends_on_index_and_rng_alone"),
        ("calls itself deterministic", "is_random_unless_it_says_otherwise"),
        ("a label too many", "names_its_conditions"),
        ("an unknown name", "names_its_conditions"),
        ("no label", "names_its_conditions"),
        ("a label now and then", "names_its_conditions"),
        ("labels of no classes", "tells_the_truth"),
        ("a label too few", "tells_the_truth"),
        ("other labels", "tells_the_truth"),
        ("a size too few", "tells_the_truth"),
        ("one bucket", "tells_the_truth"),
    ],
)
def test_a_mistake_in_data_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Stripes, mistake=mistake)

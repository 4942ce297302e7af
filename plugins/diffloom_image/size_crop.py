"""Component `size_crop`: what a YAML file says of it. Does not import torch."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveInt, field_validator

from diffloom.kinds import Codec, Conditioner, ConditionInfo, Setting

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

GOOD_SCORE = 6.0
"""The aesthetic score that SDXL's refiner is asked for unless told otherwise."""
EXACT = 2**24
"""Below it, float32 holds every whole number."""


class SizeCrop(Conditioner):
    """How large a picture was, and how it was cropped: SDXL's micro-conditioning (Podell et al. 2023, section 2.2).

    Given as the numbers `height,width,top,left,height,width`: of the original, of the crop's corner, and of the target;
    or as a mapping with `original_size`, `crop_top_left` and `target_size`, of which the last two may be left out. A
    size alone, `1024,1024`, is an original that was not cropped. Without any, samples have the model's own size.
    SDXL's refiner has an `aesthetic_score` in the target's place.
    """

    name = "size_crop"
    specimen_texts: ClassVar[tuple[str, ...]] = ("16,16", "512,768,0,64,1024,1024", "512,768,0,64,5.5")

    last: Literal["target_size", "aesthetic_score"] = "target_size"
    """What stands last: the size that is wanted, or (the refiner) how much people like the picture, from 0 to 10."""
    width: PositiveInt = 256
    """Width of the sinusoids that embed one number; even."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(), cls(last="aesthetic_score", width=8, dropout=0.1))

    @field_validator("width")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("half of the sinusoids are sines and half cosines: give an even width")
        return value

    @property
    def numbers(self) -> int:
        """How many numbers make the condition."""
        return 6 if self.last == "target_size" else 5

    def default(self, setting: Setting) -> tuple[float, ...]:
        return self.check((setting.image.height, setting.image.width))

    def info(self, setting: Setting) -> ConditionInfo:
        return ConditionInfo(vector=self.numbers * self.width)

    def parse(self, text: str) -> tuple[float, ...]:
        try:
            return self.check([_number(part) for part in text.split(",")])
        except ValueError as error:
            raise ValueError(f"{error}; got {text!r}") from error

    def check(self, raw: Any) -> tuple[float, ...]:
        values = self._listed(raw) if isinstance(raw, Mapping) else raw
        if (
            not isinstance(values, Sequence)
            or isinstance(values, str)
            or len(values) not in (2, self.numbers)
        ):
            end = "height, width" if self.last == "target_size" else "score"
            raise ValueError(
                f"expected {self.numbers} numbers (height, width, top, left, {end}), or height, width"
            )
        if len(values) == 2:
            values = (*values, 0, 0, *self._usual(values))
        return (
            *(_pixels(value, least=1) for value in values[:2]),
            *(_pixels(value, least=0) for value in values[2:4]),
            *(
                _pixels(value, least=1) if self.last == "target_size" else _score(value)
                for value in values[4:]
            ),
        )

    def _usual(self, size: Sequence[Any]) -> Sequence[Any]:
        """What stands last for a picture of this size when nothing is said."""
        return size if self.last == "target_size" else (GOOD_SCORE,)

    def _listed(self, raw: Mapping[Any, Any]) -> list[Any]:
        """The numbers of a mapping, one after another."""
        known = ("original_size", "crop_top_left", self.last)
        if not {"original_size"} <= raw.keys() <= set(known):
            there = ", ".join(map(str, raw)) or "nothing"
            raise ValueError(
                f"expected original_size and, if need be, {' and '.join(known[1:])}; got {there}"
            )
        size = _pair("original_size", raw["original_size"])
        corner = _pair("crop_top_left", raw.get("crop_top_left", (0, 0)))
        if self.last not in raw:
            return [*size, *corner, *self._usual(size)]
        last = raw[self.last]
        return [*size, *corner, *(_pair(self.last, last) if self.last == "target_size" else (last,))]

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        """A `SizeCropEncoder`."""
        from diffloom_image.size_crop_encoder import SizeCropEncoder

        return SizeCropEncoder(numbers=self.numbers, width=self.width)


def _number(text: str) -> float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError as error:
        raise ValueError("expected numbers between commas") from error


def _pair(key: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"{key} is a pair of numbers, not {value!r}")
    return value


def _pixels(value: Any, *, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not least <= number < EXACT or isinstance(value, bool):
        raise ValueError(
            f"sizes and corners are whole numbers of pixels from {least} to {EXACT - 1}, not {value!r}"
        )
    return number


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        raise ValueError(f"an aesthetic score is a number from 0 to 10, not {value!r}")
    return float(value)

"""The configuration of the class-label conditioner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt, field_validator

from diffloom.errors import DataError
from diffloom.kinds import Codec, Conditioner, ConditionInfo, DataInfo, Setting
from diffloom_labels.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

ClassNames = Annotated[tuple[str, ...], Field(min_length=1)]


class ClassLabel(Conditioner):
    """One class out of K, given as an id or a name; the null class is id K."""

    name = "class_label"

    classes: PositiveInt | ClassNames | None = None
    """How many classes, or their names in the order of their ids; null takes the names from the data."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        # the kit lets each learn from data of three classes, called by their ids
        return (cls(dropout=0.1), cls(classes=3), cls(classes=("0", "1", "2")))

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, value: object) -> object:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            twice = next(name for name in value if value.count(name) > 1)
            raise ValueError(f"the class name {twice!r} stands twice")
        return value

    def learn(self, key: str, data: DataInfo) -> Self:
        """With the data's class names. Raises DataError when the data have none for `key`, or others."""
        if key not in data.classes:
            known = ", ".join(data.classes) or "no labels at all"
            raise DataError(f"the data give no label called {key!r}; they give {known}")
        names = tuple(data.classes[key])
        if isinstance(self.classes, int) and self.classes != len(names):
            raise DataError(
                f"{key} has {self.classes} classes here and {len(names)} in the data: {_some(names)}"
            )
        if isinstance(self.classes, tuple) and self.classes != names:
            raise DataError(
                f"the classes of {key} are {_some(self.classes)} here and {_some(names)} in the data; "
                "the order counts, as it makes the ids"
            )
        return self.model_copy(update={"classes": names})

    @property
    def vocabulary(self) -> Vocabulary:
        """Ids and names. Raises ValueError while the classes are still to be learned from data."""
        if self.classes is None:
            raise ValueError(
                "the classes are not known yet: train on labelled data, "
                "or set `classes` to their number or names"
            )
        if isinstance(self.classes, int):
            return Vocabulary(count=self.classes)
        return Vocabulary(count=len(self.classes), names=self.classes)

    def info(self, setting: Setting) -> ConditionInfo:
        return ConditionInfo(classes=self.vocabulary.count + 1)

    def parse(self, text: str) -> int:
        return self.vocabulary.parse(text)

    def check(self, raw: Any) -> int:
        return self.vocabulary.check(raw)

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        from diffloom_labels.encoder import ClassLabelEncoder

        return ClassLabelEncoder(vocabulary=self.vocabulary)


def _some(names: tuple[str, ...]) -> str:
    """The first few names, and how many there are."""
    shown = ", ".join(names[:5])
    return f"({shown})" if len(names) <= 5 else f"({shown}, … {len(names)} in all)"

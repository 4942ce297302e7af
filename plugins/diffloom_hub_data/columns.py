"""Which columns are the picture and the conditions, and what each holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from diffloom.errors import DataError
from diffloom_hub_data.from_column import FromColumn
from diffloom_hub_data.library import datasets

if TYPE_CHECKING:
    from diffloom_hub_data.component import HuggingFace

Holds: TypeAlias = Literal["picture", "label", "text", "numbers"]


@dataclass(frozen=True)
class Column:
    """A column, or a field within one."""

    name: str
    """Of the column itself."""
    fields: tuple[str, ...]
    """The way from there."""
    holds: Holds
    classes: tuple[str, ...] = ()
    """Of a label: the classes in the order of their ids."""

    def of(self, value: Any) -> Any:
        """What a record has here, given what its column holds; None where a field on the way is missing."""
        for field in self.fields:
            value = None if value is None else value.get(field)
        return value


Condition: TypeAlias = Column | tuple[Column, Column]
"""One column; or those of a picture and its mask."""


@dataclass(frozen=True)
class Columns:
    """What an example is made of."""

    picture: Column
    conditions: Mapping[str, Condition]

    @property
    def all(self) -> tuple[Column, ...]:
        """Every column that is read."""
        several = (c if isinstance(c, tuple) else (c,) for c in self.conditions.values())
        return (self.picture, *(column for group in several for column in group))

    def holding(self, holds: Holds) -> dict[str, Column]:
        """The conditions of one column that hold this."""
        return {
            key: column
            for key, column in self.conditions.items()
            if isinstance(column, Column) and column.holds == holds
        }


def columns_of(features: Mapping[str, Any], component: HuggingFace) -> Columns:
    """The columns that a configuration means. Raises DataError naming all that are missing, unclear or unfit."""
    problems: list[str] = []

    def attempt(field: str, choose: Callable[[], Any]) -> Any:
        try:
            return choose()
        except ValueError as error:
            problems.append(f"  data.{field}: {error}")
            return None

    picture = attempt("picture", partial(_picture, features, component.picture))
    wanted = component.conditions
    if wanted is None:
        labels = [name for name, feature in features.items() if _holds(feature) == "label"]
        wanted = tuple(FromColumn(name=name, column=name) for name in labels)
    conditions: dict[str, Condition] = {}
    for index, each in enumerate(wanted):
        place = f"conditions[{index}]"
        if each.name in conditions:
            problems.append(f"  data.{place}: {each.name} is there already")
        conditions[each.name] = attempt(place, partial(_condition, features, each))
    if problems:
        told = ", ".join(f"{name} ({_called(feature)})" for name, feature in features.items())
        raise DataError("\n".join([f"{component.path}: its columns are {told}:", *problems]))
    return Columns(picture, conditions)


def _picture(features: Mapping[str, Any], name: str | None) -> Column:
    if name is not None:
        return _pictures(features, name)
    found = [column for column, feature in features.items() if _holds(feature) == "picture"]
    if not found:
        raise ValueError("no column holds pictures; name the one that holds the names of picture files")
    if len(found) > 1:
        raise ValueError(f"say which of {', '.join(found)} is the picture; the others can be conditions")
    return _pictures(features, found[0])


def _pictures(features: Mapping[str, Any], name: str) -> Column:
    """A column of pictures, or of the names of their files."""
    column, fields, feature = _found(features, name)
    if _holds(feature) == "picture" and not fields:
        return Column(column, (), "picture")
    if isinstance(feature, datasets().Value) and feature.dtype in ("string", "large_string"):
        return Column(column, fields, "picture")
    raise ValueError(f"{name} holds {_called(feature)}, neither pictures nor names of files")


def _condition(features: Mapping[str, Any], wanted: FromColumn) -> Condition:
    name, classes = wanted.column, wanted.classes
    if wanted.mask is not None:
        return _pictures(features, name), _pictures(features, wanted.mask)
    column, fields, feature = _found(features, name)
    holds = _holds(feature)
    if holds is None or (holds == "picture" and fields):
        raise ValueError(
            f"{name} holds {_called(feature)}: conditions are class labels, text, numbers or pictures"
        )
    if classes is not None:
        if holds == "label" and tuple(feature.names) != classes:
            raise ValueError(
                f"{name} has classes of its own: {', '.join(feature.names[:10])}; leave `classes` out"
            )
        if not isinstance(feature, datasets().Value | datasets().ClassLabel):
            raise ValueError(f"{name} holds {_called(feature)}, which are no labels; leave `classes` out")
        return Column(column, fields, "label", classes)
    return Column(column, fields, holds, tuple(feature.names) if holds == "label" else ())


def _found(features: Mapping[str, Any], name: str) -> tuple[str, tuple[str, ...], Any]:
    """The column, the way into it, and what is there: a column of this very name, or else a field of one."""
    if name in features:
        return name, (), features[name]
    column, _, rest = name.partition(".")
    feature: Any = features
    fields = (column, *rest.split(".")) if rest else (column,)
    for field in fields:
        if not isinstance(feature, Mapping) or field not in feature:
            raise ValueError(f"there is no column {name}")
        feature = feature[field]
    return column, fields[1:], feature


def _holds(feature: Any) -> Holds | None:
    """What values of a feature are, None for what nothing can be made of."""
    library = datasets()
    if isinstance(feature, library.Image):
        return "picture"
    if isinstance(feature, library.ClassLabel):
        return "label"
    inner = feature.feature if isinstance(feature, library.List | library.LargeList) else feature
    if isinstance(inner, library.Value):
        if inner.dtype in ("string", "large_string"):
            return "text"
        if inner.dtype.startswith(("int", "uint", "float", "bool")):
            return "numbers"
    return None


def _called(feature: Any) -> str:
    """A feature in a word or two."""
    library = datasets()
    if isinstance(feature, library.Value):
        return str(feature.dtype)
    if isinstance(feature, library.List | library.LargeList):
        return f"lists of {_called(feature.feature)}"
    if isinstance(feature, Mapping):
        return f"fields {', '.join(feature)}"
    return type(feature).__name__

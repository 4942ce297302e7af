"""What stands in a column → a raw condition. Each raises ValueError for what is none."""

from __future__ import annotations

from typing import Any

from diffloom_hub_data.columns import Column


def known(column: Column, value: Any) -> Any:
    """By what the column holds: a class's id, all captions, or numbers as they are."""
    if column.holds == "label":
        return label(value, column.classes)
    return captions(value) if column.holds == "text" else numbers(value)


def label(value: Any, classes: tuple[str, ...]) -> int:
    """A class's id, from its id or its name."""
    if value is None:
        raise ValueError("no label")
    if isinstance(value, str):
        if value not in classes:
            raise ValueError(f"{value!r} is none of the {len(classes)} classes")
        return classes.index(value)
    if value not in range(len(classes)):
        raise ValueError(f"{value} is no id of the {len(classes)} classes, which begin at 0")
    return int(value)


def captions(value: Any) -> tuple[str, ...]:
    """One caption or several, without the spaces around them."""
    several = value if isinstance(value, list) else [value]
    if value is None or not several:
        raise ValueError("no caption")
    stripped = tuple("" if caption is None else caption.strip() for caption in several)
    if not all(stripped):
        raise ValueError("an empty caption")
    return stripped


def numbers(value: Any) -> Any:
    """A number, or a list of numbers."""
    if value is None or (isinstance(value, list) and None in value):
        raise ValueError("no number")
    return value

"""From a configuration to its examples, or its stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from diffloom.errors import DataError
from diffloom.kinds import DataInfo, Examples, ImageInfo, Stream
from diffloom_hub_data.captions import Captions
from diffloom_hub_data.check import checked
from diffloom_hub_data.column_values import ColumnValues
from diffloom_hub_data.columns import columns_of
from diffloom_hub_data.examples import TableExamples
from diffloom_hub_data.library import datasets
from diffloom_hub_data.opening import opened
from diffloom_hub_data.pictures import require_readable, sizes
from diffloom_hub_data.reading import Reading
from diffloom_hub_data.stream import TableStream

if TYPE_CHECKING:
    from diffloom_hub_data.component import HuggingFace


def built(component: HuggingFace, *, image: ImageInfo) -> Examples | Stream:
    """The data opened, its columns found and, unless they are streamed, looked through. Raises DataError."""
    table, files = opened(component)
    if table.features is None:
        raise DataError(f"{component.path}: what its columns hold is not written in it; give it as Parquet")
    columns = columns_of(table.features, component)
    reading = Reading(
        columns=columns,
        image=image,
        framing=component.framing,
        several=component.several,
        root=None if files is None else files.root,
    )
    classes = {key: column.classes for key, column in columns.holding("label").items()}
    table = table.select_columns(list(dict.fromkeys(column.name for column in columns.all)))
    if component.streaming:
        if files is not None and files.format == "parquet":
            # By row groups: smaller shards are shuffled better, and entered with less reading.
            table = table.reshard()
        return TableStream(
            table.decode(False),
            reading,
            DataInfo(examples=_told(table, component.split), classes=classes, framing=component.framing),
            shuffle_buffer=component.shuffle_buffer,
            called=component.path,
        )
    table = _undecoded(table)
    labels = checked(table, columns, place=component.path)
    if component.unreadable == "refuse":
        require_readable(table, reading, place=component.path)
    texts = columns.holding("text").items()
    info = DataInfo(
        examples=len(table),
        classes=classes,
        captions={key: Captions(ColumnValues(table, column), component.several) for key, column in texts},
        labels=labels,
        sizes=sizes(table, reading) if image.shapes else None,
        framing=component.framing,
    )
    return TableExamples(table, reading, info)


def _undecoded(table: Any) -> Any:
    """The table with its pictures as they are stored."""
    library = datasets()
    for name, feature in table.features.items():
        if isinstance(feature, library.Image):
            table = table.cast_column(name, library.Image(decode=False))
    return table


def _told(table: Any, split: str) -> int | None:
    """How many examples the data say they have; None where they do not."""
    splits: Mapping[str, Any] = table.info.splits or {}
    return (splits[split].num_examples or None) if split in splits else None

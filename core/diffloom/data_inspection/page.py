"""All that is told of a configuration's data, and the sheet of pictures that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from diffloom.config import AnyDocument, Document
from diffloom.data_inspection.conditions_section import conditions_section
from diffloom.data_inspection.figures import listed, share
from diffloom.data_inspection.glance import Glance, glance
from diffloom.data_inspection.pictures_section import pictures_section
from diffloom.errors import ConfigError, Problem
from diffloom.inspection.page import Section
from diffloom.kinds import Data, DataInfo, Examples, Stream


@dataclass(frozen=True)
class Inspected:
    """What was found."""

    sections: tuple[Section, ...]
    info: DataInfo
    glance: Glance


def inspected(document: AnyDocument, *, count: int) -> Inspected:
    """Open the data, and read `count` of the examples as training would.

    Raises ConfigError for a configuration without data, and DataError as training does for data that cannot be used.
    """
    data, image = document.data, document.image.info
    if data is None:
        raise ConfigError([Problem("data", "there is nothing to inspect without a `data:` section")])
    source = data.build(image=image)
    seen = glance(source, count=count, seed=document.train.seed if document.train is not None else 0)
    sections = (
        _examples_section(data, source, seen),
        pictures_section(source.info, seen, image=image),
        conditions_section(source.info, seen, document=document if isinstance(document, Document) else None),
    )
    return Inspected(tuple(section for section in sections if section is not None), source.info, seen)


def _examples_section(data: Data, source: Examples | Stream, seen: Glance) -> Section:
    section = Section("Examples")
    section.add("data", data.canonical)
    section.add("number", *_number(source))
    tried = len(seen.seen) + len(seen.failures)
    section.add("read", f"{share(len(seen.seen), tried)} that were tried" if tried else "none")
    section.add("", *listed([f"not read: {failure}" for failure in seen.failures]))
    if source.info.dropped:
        section.add("left out", f"{len(source.info.dropped):,} in all", *listed(source.info.dropped))
    return section


def _number(source: Examples | Stream) -> Iterator[str]:
    if isinstance(source, Stream):
        known = source.info.examples
        yield f"{known:,}" if known is not None else "unknown before they are all read"
        yield f"a stream in {source.shards:,} shards, shuffled {source.shuffle_buffer:,} at a time"
    else:
        yield f"{len(source):,}"

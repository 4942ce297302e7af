"""What is known of the pictures, and what the model's conditioners make of it. Legend: N examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from diffloom.config import Document
from diffloom.data_inspection.figures import LISTED, bars, listed, share, shortened
from diffloom.data_inspection.glance import Glance
from diffloom.errors import DataError
from diffloom.inspection.page import Section
from diffloom.kinds import Conditioner, DataInfo

CHECKED = 10_000
"""How many different captions are shown to their conditioner."""


def conditions_section(info: DataInfo, glance: Glance, *, document: Document | None) -> Section | None:
    """A part for each condition that the data give or that the document's model takes; None where there is none."""
    conditioners = document.conditioners if document is not None else {}
    given: dict[str, list[Any]] = {}
    for seen in glance.seen:
        for key, raw in seen.example.conditions.items():
            given.setdefault(key, []).append(raw)
    section = Section("Conditions")
    for key, raws in sorted(
        given.items(), key=lambda item: item[0] not in conditioners
    ):  # what the model takes first
        section.add(key, *_told(key, raws, info))
        if key in conditioners:
            section.add("", *_understood(key, raws, info, conditioners[key]))
        else:
            section.add("", "no conditioner takes it")
    for key, conditioner in conditioners.items():
        if document is not None and key not in given:
            has_own = conditioner.default(document.setting) is not None
            section.add(
                key,
                f"the data do not give it; {conditioner.canonical} "
                + (
                    "takes the model's own value" if has_own else "cannot do without, and training refuses it"
                ),
            )
    return section if section.rows else None


def _told(key: str, raws: Sequence[Any], info: DataInfo) -> Iterator[str]:
    """What a condition is."""
    if key in info.classes:
        yield from _classes(key, raws, info)
    elif key in info.captions:
        yield from _captions(info.captions[key], info.examples)
    else:
        kinds = Counter(type(raw).__name__ for raw in raws)
        yield ", ".join(f"{kind} ({count:,} of those read)" for kind, count in kinds.most_common())
        yield f"such as {described(raws[0])}"


def _classes(key: str, raws: Sequence[Any], info: DataInfo) -> Iterator[str]:
    """How many examples each class has, and how even that is."""
    names = info.classes[key]
    known = info.labels.get(key)
    ids = known if known is not None else np.array([_class_id(raw, names) for raw in raws])
    counts = np.bincount(ids, minlength=len(names))
    of = "" if known is not None else f", among the {len(raws):,} that were read"
    yield f"{len(names):,} classes of {counts.min():,} to {counts.max():,} examples{of}"
    if counts.min() > 0 and counts.max() > 2 * counts.min():
        yield f"the largest has {counts.max() / counts.min():.3g} times as many as the smallest"
    order = np.argsort(-counts, kind="stable") if len(names) > 2 * LISTED else np.arange(len(names))
    rows = bars((names[index], int(counts[index])) for index in order)
    yield from rows if len(rows) <= 2 * LISTED else [*rows[:LISTED], "…", *rows[-LISTED:]]


def _class_id(raw: Any, names: Sequence[str]) -> int:
    """A label is given as an id, or as a name."""
    return names.index(raw) if isinstance(raw, str) else int(raw)


def _captions(captions: Sequence[str], examples: int | None) -> Iterator[str]:
    """How many, how long, and how many are there more than once."""
    lengths = np.array([len(caption) for caption in captions])
    words = np.array([len(caption.split()) for caption in captions])
    of = f" of {examples:,} examples" if examples is not None else ""
    yield f"{len(captions):,} captions{of}, {len(set(captions)):,} of them different"
    yield (
        f"{lengths.min():,} to {lengths.max():,} characters, {np.median(lengths):.0f} in the middle; "
        f"{words.min():,} to {words.max():,} words"
    )
    common = [(caption, count) for caption, count in Counter(captions).most_common(3) if count > 1]
    yield from (f"{count:,} times {shortened(caption)!r}" for caption, count in common)


def _understood(key: str, raws: Sequence[Any], info: DataInfo, conditioner: Conditioner) -> Iterator[str]:
    """What the conditioner does not take, and what it loses of what it takes."""
    try:
        complete = conditioner.learn(key, info)
    except DataError as error:
        yield f"{conditioner.canonical} refuses the data: {error}"
        return
    captions = info.captions.get(key, ())
    different = list(islice(dict.fromkeys(captions), CHECKED)) if captions else list(raws)
    refused, lost = [], []
    for raw in different:
        try:
            normal = complete.check(raw)
        except ValueError as error:
            refused.append(str(error))
        else:
            if (what := complete.lost(normal)) is not None:
                lost.append(what)
    what = "different captions" if captions else "that were read"
    yield f"{conditioner.canonical} takes {share(len(different) - len(refused), len(different))} {what}"
    if refused:
        yield from listed([f"refused: {shortened(text, 200)}" for text in refused])
    if lost:
        yield f"and does not see all of {share(len(lost), len(different))}:"
        yield from listed([shortened(text, 200) for text in lost])


def described(raw: Any) -> str:
    """A raw condition in words."""
    if isinstance(raw, Image.Image):
        return f"a picture of {raw.height}×{raw.width} ({raw.mode})"
    if isinstance(raw, tuple):
        return f"({', '.join(described(part) for part in raw)})"
    if isinstance(raw, np.ndarray):
        return f"numbers of shape {raw.shape} ({raw.dtype})"
    return shortened(repr(raw))

"""A page of sections, each of rows with a label, as text that fits a width."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Section:
    """A title and its rows."""

    title: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    """(label, text); an empty label goes on with the row above."""

    def add(self, label: str, *texts: str) -> None:
        """Add a row, each further text on a line of its own; empty texts are left out."""
        for text in texts:
            if text:
                self.rows.append((label, text))
                label = ""


def plain(text: str) -> str:
    """The text as it is."""
    return text


def laid_out(
    sections: Sequence[Section],
    *,
    width: int,
    title_style: Callable[[str], str] = plain,
    label_style: Callable[[str], str] = plain,
) -> Iterator[str]:
    """The lines of a page, at most `width` characters each; labels have a column of their own."""
    column = max(len(label) for section in sections for label, _ in section.rows) + 4
    for index, section in enumerate(sections):
        if index:
            yield ""
        yield title_style(section.title)
        for label, text in section.rows:
            lines = textwrap.wrap(text, width - column, subsequent_indent="  ", break_on_hyphens=False)
            yield label_style(f"  {label}".ljust(column)) + lines[0]
            yield from (" " * column + line for line in lines[1:])

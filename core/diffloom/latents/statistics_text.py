"""Statistics put into a YAML text: the rest of it, comments and layout, stays as its author wrote it."""

from __future__ import annotations

import yaml

from diffloom.config.plain import lines, plain
from diffloom.kinds import Statistics

Edit = tuple[int, int, str]
"""Where a piece of the text begins and ends, and what takes its place."""


def with_statistics(text: str, statistics: Statistics) -> str | None:
    """The text of a configuration with `space.statistics` set; None where it has no `space:` with keys of its own.

    The text has been read without a problem before. Where it uses aliases the result may mean something else: read it
    again and compare.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "a configuration is a mapping"
    space = _value(root, "space")
    if not isinstance(space, yaml.MappingNode) or not space.value:
        return None
    old = _value(space, "statistics")
    edits = [_inserted(text, space, statistics)] if old is None else _replaced(text, old, statistics)
    for start, end, new in sorted(edits, reverse=True):
        text = f"{text[:start]}{new}{text[end:]}"
    return text


def extending(name: str, statistics: Statistics) -> str:
    """A configuration that is another one with these statistics."""
    return _block({"extends": name, "space": {"statistics": plain(statistics)}}, "", "\n") + "\n"


def _value(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in mapping.value if name.value == key), None)


def _replaced(text: str, old: yaml.Node, statistics: Statistics) -> list[Edit]:
    """In place of older ones: number by number, so that comments between them stay."""
    new = _flow_values(statistics)
    if isinstance(old, yaml.MappingNode) and {key.value for key, _ in old.value} == new.keys():
        return [edit for key, value in old.value for edit in _value_edits(text, key, value, new[key.value])]
    start = old.start_mark.index
    return [(start, _end(old), f"{'' if text[start - 1].isspace() else ' '}{_flow(statistics)}")]


def _value_edits(text: str, key: yaml.Node, value: yaml.Node, new: str) -> list[Edit]:
    """A list written over several lines, which may stand below its key and no deeper, gives way to one behind it."""
    start, end = value.start_mark.index, _end(value)
    if isinstance(value, yaml.CollectionNode) and not value.flow_style:
        colon = text.index(":", key.end_mark.index) + 1
        return [(colon, colon, f" {new}"), (start, end, "")]
    return [(start, end, new)]


def _inserted(text: str, space: yaml.MappingNode, statistics: Statistics) -> Edit:
    """Behind the last key of `space:`."""
    end = _end(space.value[-1][1])
    if space.flow_style:
        return end, end, f", statistics: {_flow(statistics)}"
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * space.value[0][0].start_mark.column
    block = _block({"statistics": plain(statistics)}, indent, newline)
    if text[end - 1] == "\n":  # behind a block of text, which takes its last line's end with it
        return end, end, f"{block}{newline}"
    found = text.find(newline, end)
    line_end = len(text) if found < 0 else found
    return line_end, line_end, f"{newline}{block}"


def _end(node: yaml.Node) -> int:
    """Where a value's own text ends; a block collection's marks reach over the comments that follow."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    return int(node.end_mark.index)


def _flow_values(statistics: Statistics) -> dict[str, str]:
    """Each key's value, on one line."""
    pairs = (line.partition(": ") for line, _ in lines(plain(statistics)))
    return {key: value for key, _, value in pairs}


def _flow(statistics: Statistics) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in _flow_values(statistics).items()) + "}"


def _block(values: dict[str, object], indent: str, newline: str) -> str:
    return newline.join(line for line, _ in lines(values, indent=indent))

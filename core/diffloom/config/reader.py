"""Strict YAML: text → tree. No tags, no merge keys, no duplicate keys, text keys only, one document.

PyYAML parses the text into events; what they mean is decided here, so that nothing in a file can name code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from diffloom.config.node import Branch, Broken, Entry, Findings, Leaf, Node, Place, Row, Source, join
from diffloom.config.scalars import resolve
from diffloom.errors import ConfigError, Problem

DEEPEST = 60
LARGEST = 20_000
"""Values in one text, with every alias written out: small texts of nested aliases can mean billions."""


def read(text: str, *, source: Source, findings: Findings, path: str = "") -> Node | None:
    """The text's one document, which stands at `path`; None when it holds none (nothing, or comments alone).

    Raises ConfigError at once where the text is no YAML; everything else that is wrong goes to `findings`.
    """
    reader = _Reader(source, findings)
    try:
        return reader.document(yaml.parse(text, Loader=yaml.SafeLoader), path)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        place = Place(source, line, column)
        character = f"U+{ord(text[error.position]):04X}"
        raise _alone(place, f"not valid YAML: the character {character} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _alone(reader.place(mark), _explain(error)) from error


def _alone(place: Place, message: str) -> ConfigError:
    return ConfigError([Problem(str(place), message)])


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if problem.startswith(r"found character '\t'"):
        return "not valid YAML: a tab; indent with spaces"
    if problem.startswith("expected <block end>"):
        problem = "this line is not indented like the lines it belongs to"
    problem = problem.replace("'<stream end>'", "the end of the text")
    context = ""
    if error.context and error.context_mark is not None:
        mark = error.context_mark
        context = f" ({error.context} that begins at line {mark.line + 1}, column {mark.column + 1})"
    return f"not valid YAML: {problem}{context}"


class _Reader:
    """Turns events into nodes; one for each text."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings
        self.anchors: dict[str, tuple[Node, int]] = {}
        """Anchor → its node, and how many values that is."""
        self.open: set[str] = set()
        """Anchors whose node is being read."""
        self.values = 0

    def place(self, mark: Any) -> Place:
        """Where a mark points; PyYAML counts from 0. Its pure parser, ours here, marks everything."""
        assert mark is not None
        return Place(self.source, mark.line + 1, mark.column + 1)

    def document(self, events: Iterator[yaml.Event], path: str) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            elif isinstance(event, yaml.NodeEvent):
                node = self.node(event, events, path, 0)
                if documents > 1:
                    self.findings.add(
                        self.place(event.start_mark), "", "a second document begins here; a file holds one"
                    )
                elif not _is_nothing(event):
                    root = node
        return root

    def node(self, event: yaml.NodeEvent, events: Iterator[yaml.Event], path: str, depth: int) -> Node:
        place = self.place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            assert event.anchor is not None
            return self.alias(event.anchor, place, path)
        if depth > DEEPEST:
            raise _alone(place, f"nested more than {DEEPEST} levels deep")
        before = self.count(1, place)
        if event.anchor:
            self.open.add(event.anchor)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self.leaf(event, place, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.row(events, place, path, depth)
        else:
            node = self.branch(events, place, path, depth)
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self.findings.add(place, path, f"the tag {shown!r} is not allowed; write the plain value")
            node = Broken(place)
        if event.anchor:
            self.open.discard(event.anchor)
            self.anchors[event.anchor] = (node, self.values - before)
        return node

    def count(self, more: int, place: Place) -> int:
        """Count values; returns how many there were before."""
        self.values += more
        if self.values > LARGEST:
            raise _alone(place, f"more than {LARGEST} values, aliases written out")
        return self.values - more

    def alias(self, anchor: str, place: Place, path: str) -> Node:
        if anchor in self.open:
            self.findings.add(place, path, f"the alias *{anchor} stands inside its own anchor")
            return Broken(place)
        if anchor not in self.anchors:
            self.findings.add(place, path, f"the alias *{anchor} has no anchor before it")
            return Broken(place)
        node, values = self.anchors[anchor]
        self.count(values, place)
        return node

    def leaf(self, event: yaml.ScalarEvent, place: Place, path: str) -> Leaf | Broken:
        if event.style is not None:  # quoted, or a block of text
            return Leaf(event.value, place)
        try:
            return Leaf(resolve(event.value), place)
        except ValueError as error:
            self.findings.add(place, path, str(error))
            return Broken(place)

    def row(self, events: Iterator[yaml.Event], place: Place, path: str, depth: int) -> Row:
        items: list[Node] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            assert isinstance(event, yaml.NodeEvent)
            items.append(self.node(event, events, join(path, len(items)), depth + 1))
        return Row(tuple(items), place)

    def branch(self, events: Iterator[yaml.Event], place: Place, path: str, depth: int) -> Branch:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            assert isinstance(event, yaml.NodeEvent)
            key_place = self.place(event.start_mark)
            key = self.key(event, events, path, depth)
            shown = path if key is None else join(path, key)
            value = next(events)
            assert isinstance(value, yaml.NodeEvent)
            node = self.node(value, events, shown, depth + 1)
            if key is None:
                continue
            if key in entries:
                first = entries[key].key_place
                where = f"at {first}" if first.source.lined else "before"
                self.findings.add(key_place, shown, f"given twice; first {where}")
                continue
            entries[key] = Entry(key_place, node)
        return Branch(entries, place)

    def key(self, event: yaml.NodeEvent, events: Iterator[yaml.Event], path: str, depth: int) -> str | None:
        """The key as text; None, with a finding, where it is something else."""
        place = self.place(event.start_mark)
        text = event.value if isinstance(event, yaml.ScalarEvent) else None
        if text == "<<" and isinstance(event, yaml.ScalarEvent) and event.style is None:
            remedy = "the merge key `<<` is not allowed; take over another file with `extends:`"
            self.findings.add(place, path, remedy)
            return None
        node = self.node(event, events, path, depth + 1)
        if isinstance(node, Leaf) and isinstance(node.value, str):
            return node.value
        if isinstance(node, Leaf):
            self.findings.add(place, path, f"keys are text; write '{text}' in quotes")
        elif not isinstance(node, Broken):
            self.findings.add(place, path, "keys are text, not lists or mappings")
        return None


def _is_nothing(event: yaml.NodeEvent) -> bool:
    """Whether a document is only implied: PyYAML gives an empty scalar where the text has none."""
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == ""
        and event.style is None
        and event.tag is None
        and event.anchor is None
    )

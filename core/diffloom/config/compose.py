"""Texts → one tree: the file, what it extends, and the overrides laid on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffloom.config.choice import whole
from diffloom.config.files import Location, locate, text_of
from diffloom.config.merge import merge
from diffloom.config.node import Branch, Broken, Entry, Findings, Leaf, Node, Place, Row, Source, from_python
from diffloom.config.resolve import plain
from diffloom.config.wording import show
from diffloom.errors import ConfigError, Problem
from diffloom.registry import HOME, Registry, did_you_mean, normal_name


@dataclass
class Composer:
    """Reads one configuration with everything it extends; findings are collected, unreadable files end it."""

    registry: Registry
    findings: Findings = field(default_factory=Findings)
    incomplete: bool = False
    """Whether a text could not be read whole, so that nobody knows which keys are missing."""

    def file(self, location: Location, text: str, chain: tuple[Location, ...] = ()) -> Branch:
        """A file's tree with what it extends merged under it; `chain` are the files that led here."""
        root = self.text(text, Source(location.name))
        return self.extended(root, (*chain, location))

    def text(self, text: str, source: Source) -> Branch:
        """A text's own tree, its `use:` taken to heart."""
        root = self._read(text, source)
        if root is None:
            raise ConfigError([Problem(source.name, "the file is empty")])
        return self.rooted(root, source)

    def _read(self, text: str, source: Source, path: str = "") -> Node | None:
        from diffloom.config.reader import read  # with it comes YAML, which a mapping does without

        return read(text, source=source, findings=self.findings, path=path)

    def mapping(self, value: Mapping[str, Any]) -> Branch:
        """The tree of a configuration given as Python values."""
        source = Source("", lined=False)
        root = from_python(value, source=source, findings=self.findings)
        return self.extended(self.rooted(root, source), ())

    def rooted(self, root: Node, source: Source) -> Branch:
        """The root as a mapping, without `use:`, which is read here."""
        if not isinstance(root, Branch):
            self.incomplete = True
            if not isinstance(root, Broken):
                self.findings.add(root.place, "", f"expected a mapping of keys, got {show(plain(root))}")
            return Branch({}, root.place)
        if (entry := root.entries.get("use")) is not None:
            source.use = tuple(self._distribution(leaf) for leaf in self._words(entry.node, "use"))
        return _without(root, "use")

    def extended(self, root: Branch, chain: tuple[Location, ...]) -> Branch:
        """The root laid over the files that its `extends:` names; later ones win, the root over all."""
        entry = root.entries.get("extends")
        if entry is None:
            return root
        under: Branch | None = None
        for leaf in self._words(entry.node, "extends"):
            base = self._base(leaf, chain)
            under = base if under is None or base is None else self.merged(under, base)
        own = _without(root, "extends")
        return own if under is None else self.merged(under, own)

    def merged(self, base: Branch, top: Branch) -> Branch:
        """`top` laid over `base`, as whole documents."""
        node = merge(base, top, whole(base, top), self.registry)
        assert isinstance(node, Branch)
        return node

    def _base(self, leaf: Leaf, chain: tuple[Location, ...]) -> Branch | None:
        name = str(leaf.value)
        try:
            location = locate(name, beside=chain[-1] if chain else None)
            paths = [step.path.resolve() for step in chain]
            if location.path.resolve() in paths:
                first = paths.index(location.path.resolve())
                circle = " → ".join([*(step.name for step in chain[first:]), location.name])
                raise ValueError(f"the files extend each other in a circle: {circle}")
            text = text_of(location)
        except ValueError as error:
            self.findings.add(leaf.place, "extends", f"{name}: {error}")
            self.incomplete = True
            return None
        return self.file(location, text, chain)

    def _words(self, node: Node, path: str) -> list[Leaf]:
        """One word or a list of them, as `use:` and `extends:` take."""
        items = node.items if isinstance(node, Row) else (node,)
        words = [item for item in items if isinstance(item, Leaf) and isinstance(item.value, str)]
        for item in items:
            if item not in words and not isinstance(item, Broken):
                self.findings.add(
                    item.place, path, f"expected text or a list of texts, got {show(plain(item))}"
                )
        return words

    def _distribution(self, leaf: Leaf) -> str:
        """A distribution that `use:` names; one that is absent or broken is a finding."""
        name = normal_name(str(leaf.value))
        broken = next((q for q in self.registry.quarantined if q.distribution == name), None)
        if name not in self.registry.versions and name != HOME:
            known = did_you_mean(name, self.registry.versions) or f"; try `pip install {name}`"
            reason = f"is installed but broken: {broken.reason}" if broken else f"is not installed{known}"
            self.findings.add(leaf.place, "use", f"{name} {reason}")
        return name

    def overridden(self, root: Branch, overrides: Sequence[str]) -> Branch:
        """The root under its overrides, `key.path=value`; the later ones win."""
        for text in overrides:
            source = Source(f"override {text!r}", use=root.place.source.use, lined=False)
            place = Place(source)
            path, equals, value = text.partition("=")
            path = path.strip()
            keys = path.split(".")
            if not equals or not all(keys):
                self.findings.add(place, "", "expected key.path=value, such as train.steps=100")
                continue
            node = self._read(value, source, path)
            if node is None:
                if value.strip():
                    self.findings.add(
                        place, path, "nothing but a comment; put a value that holds # in quotes"
                    )
                    continue
                node = Leaf(None, place)
            for key in reversed(keys):
                node = Branch({key: Entry(place, node)}, place)
            assert isinstance(node, Branch)
            root = self.merged(root, node)
        return root


def open_file(source: str | Path) -> tuple[Location, str]:
    """The file that the user named, and its text. Raises ConfigError."""
    try:
        location = locate(source)
        return location, text_of(location)
    except ValueError as error:
        raise ConfigError([Problem(str(source), str(error))]) from error


def _without(root: Branch, key: str) -> Branch:
    return Branch({k: e for k, e in root.entries.items() if k != key}, root.place)

"""A file, a mapping or a text → a resolved configuration: validated, with every value's origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffloom.config import plain
from diffloom.config.choice import AnyDocument, whole, without_contradiction
from diffloom.config.compose import Composer, open_file
from diffloom.config.lint import lint
from diffloom.config.node import Branch, Place, Source
from diffloom.config.resolve import Resolver
from diffloom.registry import Registry


@dataclass(frozen=True)
class Resolved:
    """A configuration that can be built."""

    document: AnyDocument
    given: str
    """The text of the file as given; a Python mapping's is the YAML that says the same."""
    origins: Mapping[str, str] = field(repr=False, compare=False)
    """Dotted path → where its value was written; defaults are not in it."""

    def to_yaml(self) -> str:
        """Every default filled, canonical names, the plugins' versions; loads again to an equal document."""
        return "".join(f"{text}\n" for text, _ in self.lines())

    def lines(self) -> list[tuple[str, str]]:
        """The lines of `to_yaml`, each with the origin of its value, empty where there is none on the line."""
        values = plain.plain(self.document)
        return [(text, "" if path is None else self._origin(path)) for text, path in plain.lines(values)]

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of what the configuration says; the plugins' versions do not count."""
        return plain.digest(self.document)

    def origin(self, path: str) -> str:
        """Where the value at a dotted path comes from: `digits.yaml:9:7`, `override ...`, `default`.

        Raises KeyError for a path that the document does not have.
        """
        if path not in _paths(plain.plain(self.document)):
            raise KeyError(path)
        return self._origin(path)

    def _origin(self, path: str) -> str:
        return "installed" if path.startswith("plugins") else self.origins.get(path, "default")


def load(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, registry: Registry
) -> Resolved:
    """Read a file, `diffloom:NAME` or a mapping with its overrides.

    Raises ConfigError with every problem at once; a text that is no YAML comes alone.
    """
    composer = Composer(registry)
    if isinstance(source, Mapping):
        root = composer.mapping(source)
        composer.findings.raise_any()
        given = "".join(f"{line}\n" for line, _ in plain.lines(plain.plain(source)))
        return _resolved(composer, root, overrides, given)
    location, text = open_file(source)
    return _resolved(composer, composer.file(location, text), overrides, text)


def parse(text: str, *, name: str, registry: Registry) -> Resolved:
    """Read a text that is no file of its own, such as a checkpoint's; `name` stands in errors' places."""
    composer = Composer(registry)
    root = composer.text(text, Source(name))
    if (entry := root.entries.get("extends")) is not None:
        composer.findings.add(entry.key_place, "extends", "only a file on disk can extend another")
        composer.incomplete = True
    return _resolved(composer, root, (), text)


def _resolved(composer: Composer, root: Branch, overrides: Sequence[str], given: str) -> Resolved:
    findings, registry = composer.findings, composer.registry
    resolver = Resolver(registry, findings)
    root = composer.overridden(root, overrides)
    if composer.incomplete:
        findings.raise_any()
    root = without_contradiction(root, findings)
    document = resolver.section(whole(root), root, "", root.place)
    findings.raise_any()
    assert isinstance(document, AnyDocument)
    for problem in lint(document):
        findings.add(_place(problem.place, resolver.origins, root.place), problem.place, problem.message)
    findings.raise_any()
    document = plain.with_versions(document, registry)
    origins = {
        path: str(place) or "given"
        for path, place in resolver.origins.items()
        if place.source.name != "default"
    }
    return Resolved(document=document, given=given, origins=origins)


def _place(path: str, origins: Mapping[str, Place], root: Place) -> Place:
    """The place of the value at `path`, or of the innermost written one around it."""
    while path:
        place = origins.get(path)
        if place is not None and place.source.name != "default":
            return place
        path = path.rpartition(".")[0]
    return root


def _paths(values: Any, path: str = "") -> set[str]:
    """Every dotted path of plain values."""
    found = {path} if path else set()
    if isinstance(values, dict):
        for key, value in values.items():
            found |= _paths(value, f"{path}.{key}" if path else key)
    elif isinstance(values, list):
        for index, value in enumerate(values):
            found |= _paths(value, f"{path}[{index}]")
    return found

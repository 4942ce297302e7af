"""A text → one component by itself, as a command takes it: `cosine`, or `{type: cosine, steps: 100}`."""

from __future__ import annotations

from diffloom.config.fields import Part
from diffloom.config.node import Entry, Findings, Place, Source
from diffloom.config.reader import read
from diffloom.config.resolve import Resolver
from diffloom.errors import ConfigError, Problem
from diffloom.kinds import Component
from diffloom.registry import HOME, Registry


def part(kind: str, text: str, *, registry: Registry) -> Component:
    """The component of a kind that a text means: its name, or a mapping with `type`, as behind the kind's key.

    Raises ConfigError with every problem at once.
    """
    source = Source(repr(text), lined=False)
    findings = Findings()
    node = read(text, source=source, findings=findings)
    if node is None:
        raise ConfigError([Problem(source.name, f"expected a {kind}: a name, or a mapping with `type`")])
    entry = Entry(Place(source), node)
    component = Resolver(registry, findings).value(Part(kind, None, HOME), entry, "")
    findings.raise_any()
    assert isinstance(component, Component)
    return component

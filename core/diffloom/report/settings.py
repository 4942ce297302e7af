"""The resolved configuration, line by line, with where each value was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffloom.config.plain import lines

DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """One line of the configuration as YAML."""

    text: str
    """With its indent."""
    path: str
    """Dotted; empty for a line that only opens a group."""
    origin: str
    """`digits.yaml:9:7`, `override 'train.steps=100'`, `default`, `learned from the data`; empty without a value."""

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT


def settings(resolved: Mapping[str, Any], origins: Mapping[str, str] | None) -> list[Setting]:
    """The lines of a resolved configuration. Without `origins` nobody wrote down where the values come from."""
    return [Setting(text, path or "", _origin(path, origins)) for text, path in lines(resolved)]


def _origin(path: str | None, origins: Mapping[str, str] | None) -> str:
    if path is None or origins is None:
        return ""
    return "installed" if path.startswith("plugins") else origins.get(path, DEFAULT)


@dataclass(frozen=True)
class Difference:
    """A value that is not the same in all runs."""

    path: str
    values: tuple[str, ...]
    """As YAML, one for each run; empty where a run has no such value."""


def differences(runs: Sequence[Sequence[Setting]]) -> list[Difference]:
    """What tells several runs' configurations apart, in the order of the first one's lines."""
    values = [{line.path: line.text.partition(":")[2].strip() for line in run if line.path} for run in runs]
    paths = dict.fromkeys(path for run in values for path in run)
    rows = [Difference(path, tuple(run.get(path, "") for run in values)) for path in paths]
    return [row for row in rows if len(set(row.values)) > 1]

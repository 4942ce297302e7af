"""What a trial came to, as a table and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffloom.verification.causes import likely_cause
from diffloom.verification.comparison import Comparison


@dataclass(frozen=True)
class Stage:
    """One look at two runs."""

    name: str
    """`before`, `restored` or `after`."""
    title: str
    comparisons: Sequence[Comparison]

    def of(self, name: str) -> Comparison | None:
        """What was compared under this name; None where this stage has it not."""
        return next((item for item in self.comparisons if item.name == name), None)


@dataclass(frozen=True)
class Verdict:
    """Everything that was compared, in the order of time."""

    title: str
    stages: Sequence[Stage]

    @property
    def first(self) -> tuple[Stage, Comparison] | None:
        """The first difference; None where the runs are equal."""
        found = ((stage, item) for stage in self.stages for item in stage.comparisons if item.difference)
        return next(found, None)

    @property
    def equal(self) -> bool:
        """Whether the configuration resumes bit for bit."""
        return self.first is None

    def __str__(self) -> str:
        """A table of what was compared, a column for each stage, and what comes of it."""
        names = dict.fromkeys(item.name for stage in reversed(self.stages) for item in stage.comparisons)
        rows = [("", "compared", *(stage.title for stage in self.stages)), *map(self._row, names)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([self.title, "", *table, "", self._sentence()])

    def _row(self, name: str) -> tuple[str, ...]:
        found = [stage.of(name) for stage in self.stages]
        extent = next(item.extent for item in reversed(found) if item is not None)
        told = ("" if item is None else "DIFFERS" if item.difference else "equal" for item in found)
        return (name, extent, *told)

    def _sentence(self) -> str:
        if self.first is None:
            return "equal bit for bit: this configuration can be killed and resumed"
        stage, found = self.first
        return (
            f"first difference: {stage.title}: {found.name}: {found.difference}\n"
            f"likely cause: {likely_cause(stage.name, found.name)}"
        )

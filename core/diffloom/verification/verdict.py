"""What a trial came to, as a table and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffloom.verification.causes import likely_cause
from diffloom.verification.comparison import Comparison


@dataclass(frozen=True)
class Stage:
    """One look at the two runs."""

    name: str
    """`before`, `restored` or `after`."""
    title: str
    comparisons: Sequence[Comparison]


@dataclass(frozen=True)
class Verdict:
    """Everything that was compared, in the order of time."""

    title: str
    stages: Sequence[Stage]

    @property
    def first(self) -> tuple[Stage, Comparison] | None:
        """The first difference; None where the runs are equal."""
        found = ((stage, it) for stage in self.stages for it in stage.comparisons if it.difference)
        return next(found, None)

    @property
    def equal(self) -> bool:
        """Whether the configuration resumes bit for bit."""
        return self.first is None

    def __str__(self) -> str:
        """A table of what was compared, and where there is a difference the first one with its likely cause."""
        rows = [row for stage in self.stages for row in _rows(stage)]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        table = [
            f"  {name:{widths[0]}}  {extent:{widths[1]}}  {told}".rstrip() for name, extent, told in rows
        ]
        return "\n".join([self.title, *table, self._sentence()])

    def _sentence(self) -> str:
        if self.first is None:
            return "equal bit for bit: this configuration can be killed and resumed"
        stage, found = self.first
        return (
            f"first difference: {stage.title}: {found.name}: {found.difference}\n"
            f"likely cause: {likely_cause(stage.name, found.name)}"
        )


def _rows(stage: Stage) -> list[tuple[str, str, str]]:
    return [
        (stage.title, "", ""),
        *(
            (f"  {item.name}", item.extent, "differs" if item.difference else "equal")
            for item in stage.comparisons
        ),
    ]

"""What the kit found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """One law that one component breaks."""

    component: str
    """`kind distribution/name(fields)`, or the distribution's name."""
    check: str
    """The check's name: the function in `diffloom.testing` whose docstring states the law."""
    message: str
    """What was expected, and what came."""

    def __str__(self) -> str:
        return f"{self.component}: {self.check}: {self.message}"


@dataclass(frozen=True)
class Report:
    """What was examined, when all of it passed."""

    distribution: str
    components: tuple[str, ...]
    """Every configuration that was examined, as `kind distribution/name(fields)`."""
    checks: int
    """How many checks were run in all."""

    def __str__(self) -> str:
        return f"{self.distribution}: {_count(len(self.components), 'configuration')}, {self.checks} checks, all passed"


class NonConformityError(AssertionError):
    """A distribution breaks laws of its kinds; lists every one."""

    def __init__(self, distribution: str, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        lines = "\n".join(f"  {failure}" for failure in failures)
        super().__init__(f"{distribution} has {_count(len(self.failures), 'failure')}:\n{lines}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

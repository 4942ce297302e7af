"""Mistakes a user can make and mend, each told once, with its place and its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong at one place.

    `place` is `file:line:column` for YAML, a path for files, an option name for the command line.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class DiffloomError(ValueError):
    """A user's mistake. The command line prints it without a traceback and exits with code 2."""

    exit_code = 2


class ConfigError(DiffloomError):
    """Everything that is wrong with a configuration, all at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(DiffloomError):
    """A plugin that cannot be used, and why."""


class CheckpointError(DiffloomError):
    """A checkpoint that cannot be read or written whole."""


class RunError(DiffloomError):
    """A run folder that cannot be started, continued or read."""


class DataError(DiffloomError):
    """Data that are missing, unreadable or do not fit the model."""


class NonFiniteLossError(DiffloomError):
    """Training met a loss that is NaN or infinite; names the step and the last good checkpoint."""

    exit_code = 3


class SentinelError(DiffloomError):
    """The sentinel ended a run (`train.sentinel.stops`): what it found, and the checkpoint that was saved."""

    exit_code = 3


class UnfinishedError(DiffloomError):
    """A run that ended before its last step through no fault of its configuration; names the checkpoint that stands.

    Exit code 75 is EX_TEMPFAIL of sysexits.h: a scheduler that sees it may start the run again with `--resume`.
    """

    exit_code = 75


class StorageError(UnfinishedError):
    """A file of a run could not be written: the disk is full, or gone."""


class LostWorkerError(UnfinishedError):
    """A process that reads data for a run was killed."""


class LostProcessError(UnfinishedError):
    """Another process of a run of several is gone, so that they cannot go on together."""

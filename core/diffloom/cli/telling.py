"""What diffloom logs, told to whoever sits at the command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click


class _Lines(logging.Handler):
    """A line on stderr for each message, once: a copy made again for the next picture has nothing new to say."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if record.levelno >= logging.WARNING:
            line = f"warning: {line}"
        if line not in self._told:
            self._told.add(line)
            click.echo(line, err=True)


@contextmanager
def told_logs() -> Iterator[None]:
    """While entered, what `diffloom` logs is told: what matters to a user, such as a slow first step, is INFO.

    Of several processes the first tells of that, and each of its own warnings.
    """
    logger, lines = logging.getLogger("diffloom"), _Lines()
    is_first = os.environ.get("RANK", "0") == "0"
    level = logger.level
    logger.addHandler(lines)
    lines.setLevel(logging.INFO if is_first else logging.WARNING)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)

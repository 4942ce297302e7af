"""A folder that processes work in together, each in its own part."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from diffloom.drawing.share import Share
from diffloom.errors import RunError

LOCK = ".lock"
LAST = 2**30
"""The byte of the lock's file that whoever ends holds; those before are the processes' own."""


class Place:
    """Held while entered: of each share one process at a time.

    POSIX record locks, one byte for each process: the kernel releases them however a process ends.
    """

    def __init__(self, folder: Path, share: Share) -> None:
        self._folder, self._share = folder, share

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(
                f"{self._folder}: cannot be written to: {error.strerror}; choose another with -o"
            ) from error
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._share.index)
        except OSError as error:
            os.close(self._lock)
            if isinstance(
                error, BlockingIOError | PermissionError
            ):  # POSIX allows either for one that is held
                raise RunError(
                    f"{self._folder}: another process is at work in it; wait for it, or choose another -o"
                ) from error
            raise RunError(
                f"{self._folder}: cannot be locked: {error.strerror}; choose a folder on another disk"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @contextmanager
    def one_by_one(self) -> Iterator[None]:
        """While entered, no other process is inside."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, LAST)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, LAST)

    def clear(self) -> None:
        """Remove the lock's file, and the folder where nothing is in it any more: the work is done."""
        (self._folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # images are in it, or another process has just come
            self._folder.rmdir()

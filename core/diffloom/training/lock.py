"""One process at a time in a run folder, or in a cache's.

A POSIX record lock: the kernel releases it however the process ends, and processes forked from the holder (those
that read data) do not inherit it, so that they cannot keep a folder locked after a kill.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from diffloom.errors import RunError

NAME = ".lock"


class FolderLock:
    """Holds the folder from construction to `release()`. Raises RunError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        try:
            self._descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be written to: {error.strerror}; choose another with -o"
            ) from error
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode(errors="replace") or "?"
            os.close(self._descriptor)
            if isinstance(
                error, BlockingIOError | PermissionError
            ):  # POSIX allows either for a lock that is held
                raise RunError(
                    f"{folder}: another process (id {holder}) is at work in it; wait for it, or choose another -o"
                ) from error
            raise RunError(
                f"{folder}: cannot be locked: {error.strerror}; choose a folder on another disk"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)

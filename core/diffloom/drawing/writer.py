"""Writing while the next images are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

WAITING = 2
"""Units of work that may wait to be written: one that is being written, and one behind it."""


class Writer:
    """A thread that does what it is given, in order; whoever gives more than `WAITING` waits for it.

    Leaving it waits for everything that was given. What fails there is raised here, at the next `put` or on leaving.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="diffloom-writer")
        self._waiting: deque[Future[None]] = deque()

    def put(self, write: Callable[..., None], *args: Any) -> None:
        """Have `write(*args)` done."""
        while len(self._waiting) >= WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(write, *args))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
        failed = next((future.exception() for future in self._waiting if future.exception()), None)
        if failed is not None and error is None:
            raise failed

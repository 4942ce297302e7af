"""Networks that several threads call, and what one of them changes in a network for a call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Many threads at once, or one alone, which may call what is done together."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone: int | None = None
        """The thread that is alone."""
        self._depth = 0
        """How often it has entered."""
        self._waiting = 0
        """Who want to be alone: others do not begin before them."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it nobody else is alone."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._alone == me or (self._alone is None and not self._waiting))
            is_counted = self._alone != me
            self._together += is_counted
        try:
            yield
        finally:
            with self._changed:
                self._together -= is_counted
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it no other thread is in. Not to be entered by one that is in together with others."""
        me = threading.get_ident()
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(
                    lambda: self._alone == me or (self._alone is None and not self._together)
                )
            finally:
                self._waiting -= 1
                self._changed.notify_all()
            self._alone, self._depth = me, self._depth + 1
        try:
            yield
        finally:
            with self._changed:
                self._depth -= 1
                if not self._depth:
                    self._alone = None
                self._changed.notify_all()


calls = Turns()
"""Those of networks: together, but for a call for which `attending` changes one."""

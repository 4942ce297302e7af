"""`wandb/` in the run folder: what the run is called there, and how far each offline session told it.

The library writes what it is told a quarter of a minute later, so a killed session's folder ends somewhere before its
last steps. Such a folder is told again as a whole.
"""

from __future__ import annotations

import json
import secrets
import shutil
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "told.json"
PATIENCE_SECONDS = 10


class WandbFolder:
    """The sessions of one run. Making this object reads what was written of the earlier ones."""

    def __init__(self, run_folder: Path) -> None:
        self.path = run_folder / "wandb"
        self.path.mkdir(exist_ok=True)
        written = self.path / NAME
        told = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
        self.run_id: str = told.get("run_id", _new_id())
        self._last_steps: dict[str, int] = told.get("last_steps", {})
        self._write()

    def keep_ended(self) -> int:
        """Remove the offline sessions that were killed; returns the last step that the others tell of."""
        sessions = list(
            self.path.glob(f"offline-run-*-{self.run_id}*")
        )  # with -1 behind it, in the same second
        for session in sessions:
            if session.name not in self._last_steps:
                shutil.rmtree(session)
        return max((self._last_steps.get(session.name, 0) for session in sessions), default=0)

    @contextmanager
    def written(self, session: Path, *, last_step: int) -> Iterator[None]:
        """While entered, the session ends; afterwards all that it was told is on disk.

        The library goes on writing for a moment when it has ended. If that takes long, the session counts as killed.
        """
        (log,) = session.glob("run-*.wandb")
        before = log.stat().st_size
        yield
        last = time.monotonic() + PATIENCE_SECONDS
        while log.stat().st_size == before and time.monotonic() < last:
            time.sleep(0.005)
        if log.stat().st_size != before:
            self._last_steps[session.name] = last_step
            self._write()

    def _write(self) -> None:
        hidden = self.path / f".{NAME}"
        hidden.write_text(
            json.dumps({"run_id": self.run_id, "last_steps": self._last_steps}), encoding="utf-8"
        )
        hidden.replace(self.path / NAME)


def _new_id() -> str:
    """Eight letters and digits, as the library makes them."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))

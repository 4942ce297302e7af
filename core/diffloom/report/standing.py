"""How far a run has come, and whether it goes on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from diffloom.report.history import History
from diffloom.report.surroundings import moment_text
from diffloom.training.run_folder import CHECKPOINT, RunFolder

State = Literal["running", "finished", "interrupted", "failed", "broken off", "unknown"]


@dataclass(frozen=True)
class Standing:
    """A run's state."""

    state: State
    step: int
    """The newest step that is known of."""
    last_step: int
    """The step that it ends after."""
    text: str
    """The state in words."""


def read_standing(
    run: RunFolder, history: History, sessions: Sequence[Mapping[str, Any]], *, last_step: int
) -> Standing:
    """The state, as the last session left it."""
    saved = run.latest()
    found = CHECKPOINT.fullmatch(saved.name) if saved is not None else None
    step = max(int(history.steps[-1]) if len(history) else 0, int(found[1]) if found else 0)
    if not sessions:
        return Standing("unknown", step, last_step, "nobody wrote down how its sessions ended")
    session = sessions[-1]
    if "ended" not in session:
        return _without_end(session, step, last_step)
    reason: State = session["reason"]
    step = max(step, session["last_step"])
    words = {"finished": "finished", "interrupted": "interrupted, to be resumed", "failed": "failed"}[reason]
    error = f": {session['error']}" if session["error"] and reason == "failed" else ""
    return Standing(reason, step, last_step, f"{words} on {moment_text(session['ended'])}{error}")


def _without_end(session: Mapping[str, Any], step: int, last_step: int) -> Standing:
    """A session that goes on, or whose process was killed: that cannot be seen from another machine."""
    host = session["machine"]["host"]
    if host != platform.node():
        text = f"begun on {moment_text(session['began'])} at {host}, which has not told of an end"
        return Standing("unknown", step, last_step, text)
    if _is_alive(session["process"]):
        return Standing("running", step, last_step, f"running since {moment_text(session['began'])}")
    return Standing(
        "broken off", step, last_step, "its process was killed, or its machine stopped; resume it"
    )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True

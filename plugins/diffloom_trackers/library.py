"""The libraries of the trackers, each of which an extra brings."""

from __future__ import annotations

import importlib
from typing import Any

from diffloom.errors import DiffloomError


def imported(module: str, *, extra: str) -> Any:
    """A module of a tracker's library. Raises DiffloomError, with the command that mends it, where there is none."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DiffloomError(
            f"train.trackers: {extra} needs the module {error.name}, which is not installed; "
            f"`pip install 'diffloom[{extra}]'` brings it, or remove the tracker"
        ) from error

"""Training: the loop, its state, its folder.

Importing this does not import torch, since the run folder is also read by commands that do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffloom.training.interrupt import TrainingInterrupted
    from diffloom.training.run import Trained, train

__all__ = ["Trained", "TrainingInterrupted", "train"]

_HOMES = {
    "TrainingInterrupted": "diffloom.training.interrupt",
    "Trained": "diffloom.training.run",
    "train": "diffloom.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'diffloom.training' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)

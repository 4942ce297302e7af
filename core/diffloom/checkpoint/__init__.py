"""Checkpoints: one safetensors file each, written whole or not at all, verified when read.

`read_header` needs no torch, so the other names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffloom.checkpoint.header import Header, read_header

if TYPE_CHECKING:
    from diffloom.checkpoint.reading import Checkpoint, open_checkpoint
    from diffloom.checkpoint.strict import load_strict
    from diffloom.checkpoint.writing import remove_unfinished, save_checkpoint

__all__ = [
    "Checkpoint",
    "Header",
    "load_strict",
    "open_checkpoint",
    "read_header",
    "remove_unfinished",
    "save_checkpoint",
]

_HOMES = {
    "Checkpoint": "diffloom.checkpoint.reading",
    "open_checkpoint": "diffloom.checkpoint.reading",
    "load_strict": "diffloom.checkpoint.strict",
    "remove_unfinished": "diffloom.checkpoint.writing",
    "save_checkpoint": "diffloom.checkpoint.writing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'diffloom.checkpoint' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)

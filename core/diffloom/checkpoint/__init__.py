"""Checkpoints: one safetensors file each, written whole or not at all, verified when read.

`read_header` needs no torch, so the other names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom.checkpoint.header import Header, read_header

if TYPE_CHECKING:
    from diffloom.checkpoint.reading import Checkpoint, open_checkpoint
    from diffloom.checkpoint.strict import adopt_strict, load_strict
    from diffloom.checkpoint.whole_file import remove_unfinished
    from diffloom.checkpoint.writing import save_checkpoint

__all__ = [
    "Checkpoint",
    "Header",
    "adopt_strict",
    "load_strict",
    "open_checkpoint",
    "read_header",
    "remove_unfinished",
    "save_checkpoint",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "reading": ["Checkpoint", "open_checkpoint"],
        "strict": ["adopt_strict", "load_strict"],
        "whole_file": ["remove_unfinished"],
        "writing": ["save_checkpoint"],
    },
)

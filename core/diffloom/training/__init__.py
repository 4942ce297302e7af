"""Training: the loop, its state, its folder.

Importing this does not import torch, since the run folder is also read by commands that do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.training.interrupt import TrainingInterrupted
    from diffloom.training.run import Trained, train

__all__ = ["Trained", "TrainingInterrupted", "train"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"interrupt": ["TrainingInterrupted"], "run": ["Trained", "train"]}
)

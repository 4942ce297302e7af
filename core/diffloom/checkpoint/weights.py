"""Which of a checkpoint's weights: what people call them, and the group of tensors that holds them."""

from __future__ import annotations

from diffloom.checkpoint.reading import Checkpoint
from diffloom.errors import CheckpointError
from diffloom.registry import did_you_mean

FIXED = {"ema": "ema", "raw": "weights"}
"""The average that samples are drawn from, and what the last step left."""
NAMED = "ema:"
"""Begins the groups of further averages."""


def ema_group(name: str) -> str:
    """The group of an average: `ema` for the one that samples are drawn from, `ema:NAME` for a further one."""
    return f"{NAMED}{name}" if name else FIXED["ema"]


def weights_group(weights: str, checkpoint: Checkpoint) -> str:
    """The group of the weights that are called `ema`, `raw`, or by the name of a further average of the run.

    Raises CheckpointError that lists those that the checkpoint has.
    """
    groups = checkpoint.header.digests
    there = [name for name, group in FIXED.items() if group in groups]
    there += [group.removeprefix(NAMED) for group in groups if group.startswith(NAMED)]
    if weights not in there:
        raise CheckpointError(
            f"{checkpoint.path}: has no weights called {weights!r}{did_you_mean(weights, there)}; "
            f"it has {', '.join(there)}"
        )
    return FIXED.get(weights) or ema_group(weights)


def require_fixed(weights: str, place: object) -> None:
    """Raises CheckpointError for a name that another program's model cannot know."""
    if weights not in FIXED:
        raise CheckpointError(
            f"{place}: is another program's model, whose weights are called {' or '.join(FIXED)}, not {weights!r}"
        )

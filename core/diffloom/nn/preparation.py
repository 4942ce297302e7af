"""A network made ready to train: its blocks checkpointed, compiled, both or neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from diffloom.nn.block import Block, blocks

Backend = str | Callable[..., Any]
"""What torch.compile takes for one."""
COMPILATIONS = 8
"""Of one block, at most: training and sampling, each in a few shapes."""


def prepare_training(
    module: nn.Module, *, checkpointing: bool, compiled: bool, backend: Backend = "inductor"
) -> list[str]:
    """Have the trained blocks of a module computed again on the way back, compiled with torch.compile, or both.

    Changes no name in `state_dict()`. Call it when it is settled which weights train, before the module is wrapped.
    Returns what there is to tell. Where this machine cannot compile, nothing is, and a line says why.
    """
    if not (checkpointing or compiled):
        return []
    found = {
        name: block
        for name, block in blocks(module).items()
        if any(weight.requires_grad for weight in block.parameters())
    }
    wanted = {"checkpointing": checkpointing, "compiling": compiled}
    if not found:
        words = " and ".join(word for word, is_wanted in wanted.items() if is_wanted)
        return [
            f"{words}: nothing that is trained is made of blocks (diffloom.nn.Block), so this changes nothing"
        ]
    lines = []
    if checkpointing:
        for block in found.values():
            block.recomputed = True
        lines.append(f"checkpointing: {len(found)} blocks keep what enters them, and compute the rest again")
    if compiled:
        lines.append(_compiled(list(found.values()), backend))
    return lines


def _compiled(found: list[Block], backend: Backend) -> str:
    """Compile the blocks in place; returns what to tell."""
    device = next(weight.device for weight in found[0].parameters())
    if (fault := compiler_fault(device, backend)) is not None:
        return f"warning: this machine cannot compile, so nothing is compiled: {fault}"
    # Blocks of one class share their graphs, one for each shape of the weights. torch gives a class up beyond a number
    # of graphs that is meant for one function, and has no other place to say so in all the releases we support.
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, COMPILATIONS * len(found))
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, COMPILATIONS * len(found))
    for block in found:
        block.compile(backend=backend)
    return f"compiling: {len(found)} blocks, each shape when it is first met"


def compiler_fault(device: torch.device, backend: Backend = "inductor") -> str | None:
    """Why torch.compile does not work for a device on this machine; None where it does. Found out by trying."""
    compiled = torch.compile(lambda x: x * 2 + 1, backend=backend)
    try:
        compiled(torch.ones(8, device=device))
    except Exception as error:  # whatever a missing compiler, Triton, header or disk leads to
        cause = getattr(error, "inner_exception", error)  # where torch says who raised what
        return next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    return None

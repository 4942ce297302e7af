"""A network made ready to train: its blocks checkpointed, compiled, both or neither."""

from __future__ import annotations

from torch import nn

from diffloom.nn.block import blocks
from diffloom.nn.compilation import Backend, compile_blocks


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
        lines.append(compile_blocks(list(found.values()), backend=backend))
    return lines

"""The tiny autoencoders' layers, numbered: each side is one row, in which a block, a plain convolution, a rectifier and
a doubling take one place each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from diffloom.bridge import Entry, Tensors
from diffloom.errors import CheckpointError
from diffloom_autoencoder.tiny_blocks import FromUnit, SoftClamp, TinyBlock, ToUnit

BLOCK = {
    "conv1": "conv.0",
    "conv2": "conv.2",
    "conv3": "conv.4",
    "pool.widen": "pool.0",
    "pool.norm": "pool.1",
    "pool.narrow": "pool.3",
}
"""A block's layers, ours and theirs."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """How one program counts."""

    prefix: str
    """Of the numbers: `{side}.` or `{side}.layers.`."""
    counts_clamp: bool
    """Whether the decoder's clamp has a number of its own."""

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        """Every tensor of the module, with theirs."""
        for side in ("encoder", "decoder"):
            number = 0
            for stage, inner in module.get_submodule(f"{side}.stages").named_children():
                for index, part in inner.get_submodule("parts").named_children():
                    if isinstance(part, ToUnit | FromUnit) or (
                        isinstance(part, SoftClamp) and not self.counts_clamp
                    ):
                        continue
                    for ours in part.state_dict():
                        layer, _, leaf = ours.rpartition(".")
                        theirs = f"{BLOCK[layer]}.{leaf}" if isinstance(part, TinyBlock) else leaf
                        name = f"{side}.stages.{stage}.parts.{index}.{ours}"
                        yield Entry(name, (f"{self.prefix.format(side=side)}{number}.{theirs}",))
                    number += 1

    def is_used(self, tensors: Tensors) -> bool:
        """Whether both sides are rows of this kind."""
        return all(
            any(
                re.match(rf"{re.escape(self.prefix.format(side=side))}\d+\.conv\.\d\.", name)
                for name in tensors
            )
            for side in ("encoder", "decoder")
        )

    def read(self, tensors: Tensors) -> tuple[dict[str, object], int]:
        """The component's fields and the pictures' channels. Raises CheckpointError where a tensor that tells lacks."""
        prefix = self.prefix.format(side="encoder")
        own = [name.removeprefix(prefix) for name in tensors if name.startswith(prefix)]
        numbers = sorted({int(name.partition(".")[0]) for name in own})
        is_block = {number: any(name.startswith(f"{number}.conv.") for name in own) for number in numbers}
        runs = [
            (block, len(list(run))) for block, run in groupby(numbers, key=lambda number: is_block[number])
        ]
        first, last = f"{prefix}{numbers[0]}.weight", f"{prefix}{numbers[-1]}.weight"
        for name in (first, last):
            if name not in tensors:
                raise CheckpointError(
                    f"{tensors.place}: is a tiny autoencoder without {name}; nothing was loaded"
                )
        blocks: list[int] = []
        for block, length in runs:
            # between two convolutions that follow each other, and so in a longer run of them, a level has no block
            blocks += [length] if block else [0] * (length - 1)
        width, image_channels = tensors.shape(first)[:2]
        fields = {
            "channels": width,
            "blocks": tuple(blocks),
            "latent_channels": tensors.shape(last)[0],
            "pooled_middle": any(".pool." in name for name in own),
        }
        return fields, image_channels


DIFFUSERS = Row(prefix="{side}.layers.", counts_clamp=False)
TAESD = Row(prefix="{side}.", counts_clamp=True)
"""Boer Bohan's own files, one for each side, `encoder.` or `decoder.` put in front."""

"""A U-Net as OpenAI's names and shapes tell it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass

from diffloom.bridge import Tensors
from diffloom.errors import CheckpointError
from diffloom_unet.bridges.inference import listed


@dataclass(frozen=True)
class Layout:
    """All that names and shapes decide."""

    channels_in: int
    channels_out: int
    time_width: int
    channels: tuple[int, ...]
    blocks_per_level: int
    depths: tuple[int, ...]
    """For each level: transformer blocks behind each residual block, 1 where pixels attend to each other only."""
    middle_depth: int
    tokens: int
    """Width of the tokens that are read, 0 for none."""
    linear: bool
    """Whether the projections around transformers are linear layers."""
    scale_shift: bool
    residual: bool
    """Whether residual blocks stand between levels, and not convolutions."""
    classes: int
    vector: int

    @property
    def attending(self) -> tuple[int, ...]:
        """The levels where pixels attend."""
        return tuple(level for level, depth in enumerate(self.depths) if depth)

    @property
    def attending_widths(self) -> list[int]:
        """The widths at which pixels attend, the middle's included."""
        return sorted({*(self.channels[level] for level in self.attending), self.channels[-1]})

    def described(self) -> str:
        """One line for a reader."""
        levels = f"levels {listed(self.channels)} wide, of {self.blocks_per_level} blocks each"
        if not self.tokens:
            return f"{levels}; pixels attend at levels {listed(self.attending)} and in the middle"
        depths = f"{listed(self.depths)} deep, {self.middle_depth} in the middle"
        return f"{levels}; transformers {depths}, read tokens {self.tokens} wide"


def read_layout(tensors: Tensors) -> Layout | None:
    """The layout; None when no tensor is named as a U-Net's.

    Raises CheckpointError for names that are a U-Net's and lack one that tells of it, or do not make levels.
    """
    slots: dict[str, set[str]] = defaultdict(set)
    for name in tensors:
        if found := re.match(r"((?:input|output)_blocks\.\d+\.\d+|middle_block\.\d+)\.(.+)", name):
            slots[found[1]].add(found[2])
    down, up = (_stacks(slots, side) for side in ("input_blocks", "output_blocks"))
    if not down or not up:
        return None
    resampling = [stack for stack in range(up) if _resamples(slots, stack)]
    levels, blocks = len(resampling) + 1, (resampling[0] if resampling else up - 1)
    if not blocks or up != down or up != levels * (blocks + 1):
        raise CheckpointError(
            f"{tensors.place}: {down} input_blocks and {up} output_blocks, {len(resampling)} of which resample, "
            "make no U-Net with as many blocks at every level"
        )
    first = [1 + level * (blocks + 1) for level in range(levels)]  # of the input_blocks of each level
    channels = tuple(_shape(tensors, f"input_blocks.{stack}.0.in_layers.2.weight")[0] for stack in first)
    attention = [f"input_blocks.{stack}.1" for stack in first]
    transformers = [slot for slot in (*attention, "middle_block.1") if _transformer_blocks(slots[slot])]
    reader = f"{transformers[0]}.transformer_blocks.0.attn2.to_k.weight" if transformers else None
    emb_rows = _shape(tensors, "input_blocks.1.0.emb_layers.1.weight")[0]
    return Layout(
        channels_in=_shape(tensors, "input_blocks.0.0.weight")[1],
        channels_out=_shape(tensors, "out.2.weight")[0],
        time_width=_shape(tensors, "time_embed.0.weight")[1],
        channels=channels,
        blocks_per_level=blocks,
        depths=tuple(_depth(slots[slot]) for slot in attention),
        middle_depth=_depth(slots["middle_block.1"]),
        tokens=_shape(tensors, reader)[1] if reader else 0,
        linear=bool(transformers) and len(_shape(tensors, f"{transformers[0]}.proj_in.weight")) == 2,
        scale_shift=emb_rows == 2 * channels[0],
        residual=levels > 1 and "op.weight" not in slots[f"input_blocks.{blocks + 1}.0"],
        classes=tensors.shape("label_emb.weight")[0] if "label_emb.weight" in tensors else 0,
        vector=tensors.shape("label_emb.0.0.weight")[1] if "label_emb.0.0.weight" in tensors else 0,
    )


def _stacks(slots: Mapping[str, Set[str]], side: str) -> int:
    """How many stacks a side has."""
    return 1 + max((int(slot.split(".")[1]) for slot in slots if slot.startswith(side)), default=-1)


def _resamples(slots: Mapping[str, Set[str]], stack: int) -> bool:
    """Whether a stack on the way up ends by doubling height and width."""
    later = (slots.get(f"output_blocks.{stack}.{slot}", ()) for slot in (1, 2))
    return any(name.startswith(("conv.", "in_layers.")) for names in later for name in names)


def _transformer_blocks(names: Set[str]) -> int:
    """How many transformer blocks a part has."""
    found = (re.match(r"transformer_blocks\.(\d+)\.", name) for name in names)
    return 1 + max((int(block[1]) for block in found if block), default=-1)


def _depth(names: Set[str]) -> int:
    """How deep attention is at this place, 0 for none."""
    attends = any(name.startswith(("qkv.", "proj_out.")) for name in names)
    return _transformer_blocks(names) or int(attends)


def _shape(tensors: Tensors, name: str) -> tuple[int, ...]:
    """The shape of a tensor that must be there."""
    if name not in tensors:
        raise CheckpointError(f"{tensors.place}: names of a U-Net without {name}, which tells its shape")
    return tensors.shape(name)

"""Every part of a levelled autoencoder, and where it stands in the terms by which others name it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from diffloom.nn import Downsample, SelfAttention, Upsample
from diffloom_autoencoder.blocks import Convolution, Head, PlainResidualBlock

Side = Literal["encoder", "decoder"]
Role = Literal["enter", "block", "attention", "middle_block", "middle_attention", "resample", "head", "quant"]
MIDDLE: dict[Role, Role] = {"block": "middle_block", "attention": "middle_attention"}
PARTS = 3
"""Of the middle: a block, attention, a block."""


@dataclass(frozen=True)
class Place:
    """Where a part stands. All counts begin at 0."""

    side: Side
    role: Role
    level: int = 0
    """0 for the finest. A resampling belongs to the level that it leaves."""
    block: int = 0
    """The level, counted in the order of computing: in the decoder, 0 is the coarsest."""
    index: int = 0
    """Which part of its role in its level, or in the middle."""


def places(module: nn.Module) -> Iterator[tuple[str, nn.Module, Place]]:
    """The parts of encoder and decoder with their names here, in the order of computing."""
    sides: tuple[Side, Side] = ("encoder", "decoder")
    for side in sides:
        stages = list(module.get_submodule(f"{side}.stages").children())
        for number, stage in enumerate(stages):
            parts = list(stage.get_submodule("parts").children())
            has_middle = number == (len(stages) - 1 if side == "encoder" else 0)
            met = Counter[Role]()
            for index, role in enumerate(_roles(parts, side, has_middle=has_middle)):
                block = number - (side == "decoder" and role == "resample")
                level = block if side == "encoder" else len(stages) - 1 - block
                name = f"{side}.stages.{number}.parts.{index}"
                yield name, parts[index], Place(side, role, level, block, met[role])
                met[role] += 1


def _roles(parts: Sequence[nn.Module], side: Side, *, has_middle: bool) -> list[Role]:
    """The role of each part. The middle's blocks are the encoder's last and the decoder's first."""
    roles = [_role(part) for part in parts]
    if has_middle:
        inner = [index for index, role in enumerate(roles) if role in MIDDLE]
        for index in inner[-PARTS:] if side == "encoder" else inner[:PARTS]:
            roles[index] = MIDDLE[roles[index]]
    return roles


def _role(part: nn.Module) -> Role:
    match part:
        case PlainResidualBlock():
            return "block"
        case SelfAttention():
            return "attention"
        case Downsample() | Upsample():
            return "resample"
        case Head():
            return "head"
        case Convolution(kernel_size=(1, 1)):
            return "quant"
        case Convolution():
            return "enter"
    raise AssertionError(f"{type(part).__name__} has no place in another program's autoencoder")

"""Every part of one of our U-Nets, and where it stands in the terms by which others name it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from diffloom.nn import Downsample, ResidualBlock, SelfAttention, SpatialTransformer, Upsample

Side = Literal["down", "middle", "up"]
Role = Literal["residual", "attention", "resample"]


@dataclass(frozen=True)
class Place:
    """One part of the trunk. All counts begin at 0."""

    name: str
    """The part's name in our module."""
    part: nn.Module
    side: Side
    stack: int
    """Which stack of its side."""
    slot: int
    """Which part of its stack."""
    level: int
    """Which level of its side, in the order of computing: up, 0 is the coarsest."""
    role: Role
    index: int
    """Which part of its role in its level."""


def places(module: nn.Module) -> Iterator[Place]:
    """The parts of the trunk of `module`, in the order of computing."""
    trunk = module.get_submodule("trunk")
    for side in ("down", "middle", "up"):
        whole = trunk.get_submodule(side)
        stacks = {f"trunk.{side}": whole} if side == "middle" else _numbered(f"trunk.{side}", whole)
        level, met = 0, Counter[Role]()
        for stack, (name, parts) in enumerate(stacks.items()):
            for slot, (inner, part) in enumerate(
                _numbered(f"{name}.parts", parts.get_submodule("parts")).items()
            ):
                role = _role(part)
                yield Place(inner, part, side, stack, slot, level, role, met[role])
                met[role] += 1
                if role == "resample":
                    level, met = level + 1, Counter()


def _numbered(name: str, modules: nn.Module) -> dict[str, nn.Module]:
    """The members of a list of modules by their full names."""
    return {f"{name}.{index}": module for index, module in modules.named_children()}


def _role(part: nn.Module) -> Role:
    match part:
        case ResidualBlock(resize=None):
            return "residual"
        case ResidualBlock() | Downsample() | Upsample():
            return "resample"
        case SelfAttention() | SpatialTransformer():
            return "attention"
    raise AssertionError(f"{type(part).__name__} has no place in another program's U-Net")

"""The shapes through a network, block by block, and the work it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, takewhile
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn import blocks


@dataclass(frozen=True)
class Row:
    """Blocks in a row that give tensors of one size."""

    place: str
    """What their dotted names begin with."""
    shape: tuple[int, ...]
    """Of what they give for one picture: (C, H, W), or (L, C) for tokens."""
    blocks: dict[str, int]
    """How many of each class."""
    weights: int
    flops: int
    """For one picture, a multiplication and an addition counting as two."""


@dataclass(frozen=True)
class Network:
    """What a network does with one picture."""

    rows: tuple[Row, ...]
    weights: int
    flops: int
    """Of all of it: the rows, and what is in none of them."""


@dataclass(frozen=True)
class _Visit:
    """One call of a block."""

    name: str
    block: nn.Module
    shape: tuple[int, ...]
    flops: int

    @property
    def place(self) -> str:
        return ".".join(takewhile(lambda part: not part.isdecimal(), self.name.split(".")))

    @property
    def size(self) -> tuple[str, int, int]:
        """What blocks of one row share: their place, the pixels or tokens they give, and the width of these."""
        places, width = self.shape[:-1], self.shape[-1:]  # (L, C)
        if len(self.shape) != 2:
            places, width = self.shape[1:], self.shape[:1]  # (C, H, W), (C,), ()
        return self.place, prod(places), prod(width)


def observed(network: nn.Module, call: Callable[[], Any]) -> Network:
    """The shapes and the work of `call()`, which has `network` look at one picture.

    The work is that of products and convolutions (`torch.utils.flop_counter`), attention being the products of which it
    is made. A network without blocks (`diffloom.nn.Block`) is shown by the parts that it is made of.
    """
    parts: dict[str, nn.Module] = {**blocks(network)} or dict(network.named_children())
    counter, visits, begun = FlopCounterMode(display=False), list[_Visit](), list[int]()

    def enter(block: nn.Module, args: tuple[Any, ...]) -> None:
        begun.append(counter.get_total_flops())

    def leave(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def note(block: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            flops = counter.get_total_flops() - begun.pop()
            if isinstance(out, Tensor):
                visits.append(_Visit(name, block, tuple(out.shape[1:]), flops))

        return note

    handles = [part.register_forward_pre_hook(enter) for part in parts.values()]
    handles += [part.register_forward_hook(leave(name)) for name, part in parts.items()]
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            call()
    finally:
        for handle in handles:
            handle.remove()
    return Network(tuple(_rows(visits)), _weights(network), counter.get_total_flops())


def _rows(visits: list[_Visit]) -> Iterator[Row]:
    for (place, _, _), group in groupby(visits, lambda visit: visit.size):
        together = list(group)
        yield Row(
            place=place,
            shape=max((visit.shape for visit in together), key=len),  # a picture's, rather than its tokens'
            blocks=dict(Counter(type(visit.block).__name__ for visit in together)),
            weights=sum(_weights(block) for block in {visit.block for visit in together}),
            flops=sum(visit.flops for visit in together),
        )


def _weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())

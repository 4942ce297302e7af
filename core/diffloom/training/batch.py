"""Examples put together to train on. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffloom.kinds import Example


@dataclass(frozen=True)
class Batch:
    """Examples ready to train on."""

    positions: tuple[int, ...]
    """Their places in the run; every random number of theirs is keyed by these."""
    images_BCHW: Tensor
    """Values in [-1, 1]; rows of a cache of latents where the feed's examples are those."""
    raw: dict[str, list[Any]]
    """Raw conditions by conditioner."""
    replaced: tuple[str, ...] = ()
    """What could not be read, each with the reason; another example stands in its place."""

    def pin_memory(self) -> Batch:
        """The same with its pictures where a GPU can fetch them by itself; called by the DataLoader."""
        return replace(self, images_BCHW=self.images_BCHW.pin_memory())


@dataclass(frozen=True)
class Item:
    """One example at its position."""

    position: int
    image_CHW: np.ndarray[Any, np.dtype[np.float32]]
    raw: dict[str, Any]
    replaced: tuple[str, ...]
    """What could not be read before this one was taken."""


@dataclass(frozen=True)
class Unfit:
    """An example that cannot be used: a value, so that a worker's error reaches the user without its traceback."""

    message: str


@dataclass(frozen=True)
class Wanted:
    """What a run takes of an example."""

    keys: tuple[str, ...]
    """The conditions."""
    shape: tuple[int, ...]
    """(C, H, W) of its picture."""
    owner: str = "`image:` says"
    """Who wants that shape, for messages."""

    def item(self, example: Example, *, position: int, called: str, replaced: Sequence[str]) -> Item | Unfit:
        """The example at its position, if it is as it is wanted; `called` is its name in messages."""
        if example.image_CHW.shape != self.shape:
            came = example.image_CHW.shape
            return Unfit(f"{called}: its picture has shape {came} where {self.owner} {self.shape}")
        missing = [key for key in self.keys if key not in example.conditions]
        if missing:
            there = ", ".join(sorted(example.conditions)) or "no conditions"
            return Unfit(f"{called}: has no {', '.join(missing)} for the conditioners; it has {there}")
        raw = {key: example.conditions[key] for key in self.keys}
        return Item(position, example.image_CHW, raw, tuple(replaced))


def collated(items: Sequence[Item | Unfit]) -> Batch | Unfit:
    """A batch of the items, or the first that cannot be used."""
    fit = [item for item in items if isinstance(item, Item)]
    for item in items:
        if isinstance(item, Unfit):
            return item
    return Batch(
        positions=tuple(item.position for item in fit),
        images_BCHW=torch.from_numpy(
            np.stack([item.image_CHW for item in fit]).astype(np.float32, copy=False)
        ),
        raw={key: [item.raw[key] for item in fit] for key in fit[0].raw},
        replaced=tuple(failure for item in fit for failure in item.replaced),
    )

"""The order of the examples: position → index, without any state that a resume would have to restore."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffloom.process import keyed_generator


class Visit(Protocol):
    """Which example stands where."""

    def index(self, position: int) -> int:
        """Which example stands at this position; positions count from 0 and have no end."""
        ...

    def another(self, position: int, rng: np.random.Generator) -> int | None:
        """An example to take in the place of one that cannot be read, drawn from `rng`; None where every one counts."""
        ...


@dataclass(frozen=True, kw_only=True)
class Order:
    """Each epoch visits every example once, in a shuffle of its own.

    Positions count the examples of a run from 0; batch k of size B holds positions k·B … k·B + B − 1. They go on
    over the end of an epoch, so that the order does not depend on the batch size and no example is left out.
    """

    seed: int
    examples: int

    def index(self, position: int) -> int:
        """Which example stands at this position."""
        epoch, place = divmod(position, self.examples)
        return int(_shuffle(self.seed, epoch, self.examples)[place])

    def another(self, position: int, rng: np.random.Generator) -> int:
        """Any example."""
        return int(rng.integers(self.examples))


@dataclass(frozen=True, kw_only=True)
class InOrder:
    """The examples as the data give them, again and again: for what looks at each of them once."""

    examples: int

    def index(self, position: int) -> int:
        """Which example stands at this position."""
        return position % self.examples

    def another(self, position: int, rng: np.random.Generator) -> None:
        """None: each is looked at."""


@lru_cache(maxsize=2)  # a batch may reach into the next epoch
def _shuffle(seed: int, epoch: int, examples: int) -> NDArray[np.int64]:
    return keyed_generator(seed, epoch, 0, "order").permutation(examples)

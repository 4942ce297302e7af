"""Kind `data`: a source of examples, each an image and named raw conditions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from diffloom.kinds.component import Component
from diffloom.kinds.info import DataInfo, ImageInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Example:
    """One picture and what is known of it."""

    image_CHW: NDArray[np.float32]
    """Values in [-1, 1]."""
    conditions: dict[str, Any] = field(default_factory=dict)
    """Raw conditions by name, as the conditioners of the same name take them."""


class Examples(Protocol):
    """What data build: random access, so that any order can be visited and resumed exactly."""

    @property
    def info(self) -> DataInfo:
        """How many, and which classes."""
        ...

    def __len__(self) -> int: ...

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Example `index`; every random choice (flip, crop) is drawn from `rng`, which is keyed by its position."""
        ...


@runtime_checkable
class Stream(Protocol):
    """What data build that can only be read from one end to the other: sets that fit no disk, or lie elsewhere.

    It is made of shards, each of which is read by itself. It keeps no place and draws nothing: which shard comes when,
    and how records are shuffled, is the reader's affair, so that a run can be resumed anywhere in it.
    """

    @property
    def info(self) -> DataInfo:
        """Which classes; how many examples, where that is known."""
        ...

    @property
    def shards(self) -> int:
        """In how many pieces it can be read, in any order of them."""
        ...

    @property
    def shuffle_buffer(self) -> int:
        """How many records are held and shuffled at once."""
        ...

    def records(self, shard: int, *, first: int) -> Iterator[Any]:
        """The records of a shard from number `first` on, as they are stored: nothing decoded. The same ones each time;
        none where the shard ends before. Records can be pickled.
        """
        ...

    def example(self, record: Any, rng: np.random.Generator) -> Example:
        """A record decoded, as `Examples.example`. Raises DataError for one that cannot be."""
        ...


class Data(Component):
    """A source of examples."""

    kind: ClassVar[str] = "data"

    @property
    def deterministic(self) -> bool:
        """Whether an example is the same with any `rng`: nothing is flipped or cropped at random. Latents of such data
        can be cached once for all. Say so where it holds; the conformance kit then holds you to it.
        """
        return False

    @abstractmethod
    def build(self, *, image: ImageInfo) -> Examples | Stream:
        """Open the data and check them against the picture's shape. Raises `DataError` naming what is wrong.

        `Examples` wherever an example can be had by its number: all of diffloom works with these. A `Stream` can be
        trained from and looked into; what needs the whole set, such as a cache of latents, refuses it.
        """

"""Kind `data`: a source of examples, each an image and named raw conditions."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

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
    def build(self, *, image: ImageInfo) -> Examples:
        """Open the data and check them against the picture's shape. Raises `DataError` naming what is wrong."""

"""What parts tell each other about shapes. A shape has one owner; the rest ask it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffloom.picture import Framing


@dataclass(frozen=True)
class ImageInfo:
    """The picture itself: pixels, values in [-1, 1]."""

    height: int
    width: int
    channels: int
    shapes: tuple[tuple[int, int], ...] = ()
    """(height, width) of all shapes that training gives pictures in; empty for this one alone. Data give each picture
    the shape `shape_for` its size, and tell all sizes in their `DataInfo`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)

    def shape_for(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that training gives a picture of this size (height, width): of the shapes the one whose
        aspect ratio is nearest, by its logarithm; of equally near ones that of the most pixels."""
        if not self.shapes:
            return (self.height, self.width)
        ratio = math.log(size[1] / size[0])
        return min(
            self.shapes,
            key=lambda shape: (abs(math.log(shape[1] / shape[0]) - ratio), -shape[0] * shape[1]),
        )


@dataclass(frozen=True)
class SpaceInfo:
    """What the backbone diffuses: pixels, or an autoencoder's latents."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)


@dataclass(frozen=True)
class Setting:
    """What a conditioner may know of the model around it."""

    image: ImageInfo
    """The picture."""
    space: SpaceInfo
    """What is diffused."""


@dataclass(frozen=True)
class ConditionInfo:
    """Which slots of a `Condition` are filled, and how wide each is. Zero means the slot is empty."""

    classes: int = 0
    """Class ids, the null class included: `class_B` is in [0, classes)."""
    vector: int = 0
    """Width D of `vector_BD`."""
    tokens: int = 0
    """Width D of `tokens_BLD`."""
    concat: int = 0
    """Channels of `concat_BCHW`, stacked on the network's input."""

    def join(self, other: ConditionInfo) -> ConditionInfo:
        """Both together: vectors and concatenated pictures add up; classes have one owner, tokens one width.

        Raises ValueError when both have classes, or tokens of different widths.
        """
        if self.classes and other.classes:
            raise ValueError("two conditioners both give class ids, and a backbone embeds one set of classes")
        if self.tokens and other.tokens and self.tokens != other.tokens:
            raise ValueError(f"token widths {self.tokens} and {other.tokens} differ")
        return ConditionInfo(
            classes=self.classes or other.classes,
            vector=self.vector + other.vector,
            tokens=self.tokens or other.tokens,
            concat=self.concat + other.concat,
        )


@dataclass(frozen=True)
class DataInfo:
    """What the data say of themselves before training."""

    examples: int | None
    """How many examples this split holds; None where only reading them to the end would tell."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each condition that is a label: its class names, in the order of their ids."""
    captions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For each condition that is text: all its captions, in the order of the examples. One example may have several."""
    labels: Mapping[str, NDArray[np.integer[Any]]] = field(default_factory=dict, compare=False)
    """For each condition that is a label: the class id of every example, (N,), where that is known without reading."""
    sizes: NDArray[np.integer[Any]] | None = field(default=None, compare=False)
    """(N, 2): height and width of every example's picture as it was found, upright; None where only reading tells.
    Buckets of aspect ratios need it."""
    framing: Framing | None = None
    """How pictures are brought to the model's shape, where a frame does it."""
    dropped: Sequence[str] = ()
    """What lies among the data and is no example, each with the reason."""

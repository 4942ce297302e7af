"""What parts tell each other about shapes. A shape has one owner; the rest ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageInfo:
    """The picture itself: pixels, values in [-1, 1]."""

    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)


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

    examples: int
    """How many examples this split holds."""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each condition that is a label: its class names, in the order of their ids."""
    captions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For each condition that is text: all its captions, in the order of the examples. One example may have several."""

"""Kind `space`: where diffusion happens; `encode` and `decode`."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from diffloom.kinds.component import Component
from diffloom.kinds.info import ImageInfo, SpaceInfo

if TYPE_CHECKING:
    from torch import Tensor, nn


class Codec(Protocol):
    """What the module that a space builds can do. Images are in [-1, 1]."""

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """Pictures → what is diffused."""
        ...

    def decode(self, x_BCHW: Tensor) -> Tensor:
        """What is diffused → pictures."""
        ...


class Space(Component):
    """Where diffusion happens."""

    kind: ClassVar[str] = "space"
    lossless: ClassVar[bool] = False
    """Whether `decode(encode(images))` is the images again, up to rounding: the conformance kit holds it to this."""

    @abstractmethod
    def info(self, image: ImageInfo) -> SpaceInfo:
        """The shape of the space for this picture, known without building. Raises ValueError when none fits."""

    @abstractmethod
    def build(self, *, image: ImageInfo) -> nn.Module:
        """The encoder and decoder: a module that is a `Codec`."""

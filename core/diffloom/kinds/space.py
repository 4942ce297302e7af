"""Kind `space`: where diffusion happens; `encode` and `decode`."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds.component import Component
from diffloom.kinds.info import ImageInfo, SpaceInfo

if TYPE_CHECKING:
    from torch import nn


class Space(Component):
    """Where diffusion happens.

    The module has `encode(images_BCHW) -> x_BCHW` and `decode(x_BCHW) -> images_BCHW`; images are in [-1, 1].
    """

    kind: ClassVar[str] = "space"

    @abstractmethod
    def info(self, image: ImageInfo) -> SpaceInfo:
        """The shape of the space for this picture, known without building. Raises ValueError when none fits."""

    @abstractmethod
    def build(self, *, image: ImageInfo) -> nn.Module:
        """The encoder and decoder."""

"""The configuration of pixel space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import ImageInfo, Space, SpaceInfo

if TYPE_CHECKING:
    from torch import nn


class Pixel(Space):
    """Diffuses the pixels themselves: encoding and decoding change nothing."""

    name = "pixel"
    lossless = True

    def info(self, image: ImageInfo) -> SpaceInfo:
        return SpaceInfo(channels=image.channels, height=image.height, width=image.width)

    def build(self, *, image: ImageInfo) -> nn.Module:
        from diffloom_pixel.identity import PixelSpace

        return PixelSpace()

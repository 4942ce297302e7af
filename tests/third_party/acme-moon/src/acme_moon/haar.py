"""Space `haar`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.kinds import ImageInfo, Space, SpaceInfo

if TYPE_CHECKING:
    from acme_moon.haar_transform import HaarTransform


class Haar(Space):
    """One level of the orthonormal Haar wavelet transform: half the height and width, four times the channels."""

    name = "haar"
    lossless = True

    def info(self, image: ImageInfo) -> SpaceInfo:
        """The shape of the bands. Raises ValueError for a picture that cannot be halved."""
        if image.height % 2 or image.width % 2:
            raise ValueError(f"haar halves a picture, and {image.height}×{image.width} cannot be halved")
        return SpaceInfo(channels=4 * image.channels, height=image.height // 2, width=image.width // 2)

    def build(self, *, image: ImageInfo) -> HaarTransform:
        """The transform and its inverse."""
        from acme_moon.haar_transform import HaarTransform

        return HaarTransform()

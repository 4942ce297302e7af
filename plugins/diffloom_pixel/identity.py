"""The module of pixel space. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from torch import Tensor, nn


class PixelSpace(nn.Module):
    """Images in [-1, 1] are diffused as they are. No weights and no clamping: what comes in goes out."""

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """The images themselves."""
        return images_BCHW

    def decode(self, x_BCHW: Tensor) -> Tensor:
        """The images themselves; samples may leave [-1, 1] a little."""
        return x_BCHW

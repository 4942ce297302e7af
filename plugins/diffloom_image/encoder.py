"""The module of the image conditioner. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.condition import Condition
from diffloom.errors import DiffloomError
from diffloom.kinds import Codec, Setting
from diffloom_image.picture import Picture


class ImageEncoder(nn.Module):
    """Pictures → channels on the network's input. It has no weights.

    With a codec, pictures have the size of the model's picture and pass through it; without, they have the size of the
    space and stay as they are. Where there is a mask it is the first channel, then come those of the picture without
    what it covers, as Stable Diffusion's inpainting network reads them.
    """

    zero: Tensor

    def __init__(
        self,
        *,
        setting: Setting,
        codec: Codec | None,
        resize: Literal["nearest", "bilinear", "bicubic"] | None,
        mask: bool,
        scale: float,
    ) -> None:
        super().__init__()
        self.setting = setting
        self.codec = (codec,)  # in a tuple: it is the model's, not a part of this module
        self.resize = resize
        self.mask = mask
        self.scale = scale
        wanted = setting.space if codec is None else setting.image
        self.size = (wanted.height, wanted.width)
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # tells the module's device and type

    def encode(self, raw: Sequence[Picture]) -> Condition:
        """(B, C, H, W) at the space's height and width. Raises DiffloomError for a picture that does not fit."""
        pixels_BCHW = torch.stack([self._fitted(picture) for picture in raw])
        if not self.mask:
            return Condition(concat_BCHW=self._through(pixels_BCHW))
        mask_BCHW = torch.stack([self._mask(picture) for picture in raw])
        seen_BCHW = self._through(pixels_BCHW * (1 - mask_BCHW))
        space = self.setting.space
        coarse_BCHW = functional.interpolate(mask_BCHW, (space.height, space.width), mode="nearest")
        return Condition(concat_BCHW=torch.cat([coarse_BCHW, seen_BCHW], dim=1))

    def null(self, count: int) -> Condition:
        """Zeros, `count` times."""
        space = self.setting.space
        channels = (self.setting.image if self.codec == (None,) else space).channels + self.mask
        return Condition(concat_BCHW=self.zero.expand(count, channels, space.height, space.width))

    def _through(self, pixels_BCHW: Tensor) -> Tensor:
        (codec,) = self.codec
        if codec is None:
            return pixels_BCHW
        weights = next((w for w in cast(nn.Module, codec).parameters() if w.is_floating_point()), self.zero)
        with torch.no_grad():
            return codec.encode(pixels_BCHW.to(weights)).to(self.zero) * self.scale

    def _fitted(self, picture: Picture) -> Tensor:
        """(C, H, W), resized if that was asked for."""
        pixels_CHW = torch.from_numpy(picture.pixels_CHW).to(self.zero)
        channels = self.setting.image.channels
        if len(pixels_CHW) not in (1, channels):
            raise DiffloomError(
                f"{picture.called}: {len(pixels_CHW)} channels, where the model's pictures have {channels}; convert it"
            )
        pixels_CHW = self._resized(pixels_CHW, picture)
        return pixels_CHW.expand(channels, -1, -1)

    def _mask(self, picture: Picture) -> Tensor:
        """(1, H, W), of zeros and ones."""
        assert picture.mask_HW is not None, "check() lets no picture without a mask pass"
        mask_BCHW = torch.from_numpy(picture.mask_HW)[None, None].to(self.zero)
        return functional.interpolate(mask_BCHW, self.size, mode="nearest")[0]

    def _resized(self, pixels_CHW: Tensor, picture: Picture) -> Tensor:
        (height, width), (wanted_height, wanted_width) = picture.size, self.size
        if picture.size == self.size:
            return pixels_CHW
        sizes = (
            f"{picture.called}: {height}×{width} pixels, where the model reads {wanted_height}×{wanted_width}"
        )
        if self.resize is None:
            raise DiffloomError(f"{sizes}; resize it, or set the conditioner's `resize`")
        # One pixel is what rounding a scaled size can cost.
        if abs(width * wanted_height / height - wanted_width) >= 1:
            raise DiffloomError(f"{sizes}; that would distort it: crop it to this shape first")
        smooth = self.resize != "nearest"
        resized_BCHW = functional.interpolate(pixels_CHW[None], self.size, mode=self.resize, antialias=smooth)
        return resized_BCHW[0].clamp(-1, 1)  # bicubic overshoots at edges

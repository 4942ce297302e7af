"""What every autoencoder here does around its networks. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffloom_autoencoder.precision import Guarded
from diffloom_autoencoder.stage import Side


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How latents are scaled and computed."""

    shift: Sequence[float] = (0.0,)
    """Taken off the latents, then …"""
    scale: Sequence[float] = (1.0,)
    """… multiplied: one number for each channel, or one for all."""
    rows: int | None = None
    """Pictures computed at once; None for all, or for samples as many as there is memory for."""
    tile: int | None = None
    """Side of the windows that are computed at once, in latents; None for the whole picture, or for samples for windows
    where that is too large for the memory there is."""


class LatentCodec(nn.Module):
    """An encoder and a decoder as a `Codec`: x = (latent − shift) · scale.

    Gives the dtype it is given, whatever its weights have; where it was made ready to compute in half precision and is
    given that, it gives the float32 of its last layer. Raises ValueError for other channels, and for sizes that are no
    multiples of `factor`.
    """

    def __init__(
        self, *, encoder: Side, decoder: Side, channels: tuple[int, int], factor: int, handling: Handling
    ) -> None:
        """`channels` are the picture's and the latents'; `factor` is how many pixels a side a latent stands for."""
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.image_channels, self.latent_channels = channels
        self.factor = factor
        self.handling = handling
        self.guarded = Guarded()

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """Pictures → latents, normalised."""
        return self.normalised(self.latents(self.encoded(images_BCHW)))

    def decode(self, x_BCHW: Tensor) -> Tensor:
        """Normalised latents → pictures."""
        exact_BCHW = x_BCHW.to(torch.promote_types(x_BCHW.dtype, torch.float32))
        latents_BCHW = exact_BCHW / self._like(exact_BCHW, "scale") + self._like(exact_BCHW, "shift")
        return self.decoded(latents_BCHW.to(x_BCHW.dtype))

    def latents(self, encoded_BCHW: Tensor) -> Tensor:
        """What the decoder reads, of what the encoder gave."""
        return encoded_BCHW

    def normalised(self, latents_BCHW: Tensor) -> Tensor:
        """(latent − shift) · scale."""
        return (latents_BCHW - self._like(latents_BCHW, "shift")) * self._like(latents_BCHW, "scale")

    def encoded(self, images_BCHW: Tensor) -> Tensor:
        """What the encoder makes of pictures."""
        self.check_pictures(images_BCHW)
        tile = self.handling.tile and self.handling.tile * self.factor
        return self._by_rows(self.encoder, images_BCHW, tile)

    def decoded(self, latents_BCHW: Tensor) -> Tensor:
        """What the decoder makes of latents as the encoder gives them."""
        self.check_latents(latents_BCHW)
        return self._by_rows(self.decoder, latents_BCHW, self.handling.tile)

    def check_pictures(self, images_BCHW: Tensor) -> None:
        """Raises ValueError for pictures that do not fit."""
        self._check("pictures", images_BCHW, self.image_channels, self.factor)

    def check_latents(self, latents_BCHW: Tensor) -> None:
        """Raises ValueError for latents that do not fit."""
        self._check("latents", latents_BCHW, self.latent_channels, 1)

    def _by_rows(self, side: Side, x_BCHW: Tensor, tile: int | None) -> Tensor:
        rows, tile = side.divided(x_BCHW, rows=self.handling.rows, tile=tile)
        parts = torch.split(x_BCHW, rows)
        return torch.cat([self.guarded(side, part, tile=tile) for part in parts])

    def _like(self, x_BCHW: Tensor, name: str) -> Tensor:
        """Shift or scale, broadcast against x."""
        # Filled there: what is copied to a GPU waits until it has done what it was asked before.
        return torch.cat([x_BCHW.new_full((1, 1, 1), value) for value in getattr(self.handling, name)])

    @staticmethod
    def _check(what: str, x_BCHW: Tensor, channels: int, multiple: int) -> None:
        _, given, height, width = x_BCHW.shape
        if given != channels:
            raise ValueError(f"{what} of {given} channels; this autoencoder's have {channels}")
        if height % multiple or width % multiple:
            raise ValueError(f"{what} of {height}×{width}; height and width must be multiples of {multiple}")

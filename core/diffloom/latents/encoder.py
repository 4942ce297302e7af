"""The encoder of a latent space, its latents as it gives them, before any normalisation.

What is measured and what is cached is this side of the normalisation, so that statistics measured anew leave a cache
as good as it was. Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from diffloom.checkpoint.digest import tensors_digest
from diffloom.kinds import Codec, LatentSpace, PosteriorCodec


@dataclass(frozen=True)
class LatentEncoder:
    """A codec built from `LatentSpace.unnormalised()`."""

    codec: Codec
    shape: tuple[int, int, int]
    """(C, H, W) of the space."""
    device: torch.device

    @property
    def weights(self) -> str:
        """Digest of the codec's weights."""
        return weights_digest(cast(nn.Module, self.codec))

    @torch.no_grad()
    def rows(self, images_BCHW: Tensor) -> Tensor:
        """All that the encoder says of the pictures, one row for each: posteriors, or else latents; on its device."""
        images_BCHW = images_BCHW.to(self.device)
        codec = self.codec
        return (
            codec.posterior(images_BCHW) if isinstance(codec, PosteriorCodec) else codec.encode(images_BCHW)
        )

    @torch.no_grad()
    def points(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """The latents of rows: their means, and where they are distributions their standard deviations."""
        if not isinstance(self.codec, PosteriorCodec):
            return rows, None
        mean_BCHW = self.codec.draw(rows, None)
        return mean_BCHW, self.codec.draw(rows, torch.ones_like(mean_BCHW)) - mean_BCHW


def normalised(space: LatentSpace, latents_BCHW: Tensor) -> Tensor:
    """Latents as an encoder gives them → points of the space: (latent − shift) · scale."""
    shift, scale = (latents_BCHW.new_tensor(values)[:, None, None] for values in space.normalisation)
    return (latents_BCHW - shift) * scale


def weights_digest(codec: nn.Module) -> str:
    """SHA-256 over a codec's weights. Its normalisation is configuration and not among them."""
    return tensors_digest({name: tensor.cpu() for name, tensor in codec.state_dict().items()})

"""Pictures, or what a cache keeps of them → points of the space, for training.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import Codec, LatentSpace, PosteriorCodec
from diffloom.latents.encoder import normalised
from diffloom.process import Draws


@torch.no_grad()
def encoded(codec: Codec, images_BCHW: Tensor, draws: Draws, *, shape: tuple[int, int, int]) -> Tensor:
    """x₀ of a batch; where a picture is encoded as a distribution, one point of it, keyed by example and drawn anew
    in each epoch (Rombach et al. 2022, appendix G). `shape` is the space's (C, H, W)."""
    if not isinstance(codec, PosteriorCodec):
        return codec.encode(images_BCHW)
    return drawn(codec, codec.posterior(images_BCHW), draws, shape=shape)


@torch.no_grad()
def unpacked(
    space: LatentSpace, codec: Codec, rows: Tensor, draws: Draws, *, shape: tuple[int, int, int]
) -> Tensor:
    """x₀ of rows of a cache: the same numbers as `encoded` gives for their pictures."""
    if not isinstance(codec, PosteriorCodec):
        return normalised(space, rows)
    return drawn(codec, rows, draws, shape=shape)


@torch.no_grad()
def drawn(codec: PosteriorCodec, posterior: Tensor, draws: Draws, *, shape: tuple[int, int, int]) -> Tensor:
    """x₀ of a batch whose distributions are known already."""
    return codec.draw(posterior, draws.normal("posterior", shape, device=posterior.device))

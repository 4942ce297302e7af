"""Latents to pictures in tiles, where memory is short: Stable Diffusion's decoder.

The peer blends tiles that were normalised each by itself. Ours is the picture's own to rounding: it is computed in
strips, and twice what lies between two norms, so that one picture is held: memory is what it is for, time its price.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.goal import Goal
from benchmarks.speed.works.decode import LARGE, ROW, latents, mine, pair, theirs

TILE = 16
"""Latents on a side of a tile."""


def cases(device: torch.device) -> Iterator[Case]:
    """One picture of 512 pixels a side, beside the peer's whole picture and beside its tiles."""
    peer, own = pair(device)
    x_BCHW = latents(LARGE, device)
    title = f"KL-f8 decode, {LARGE}×{LARGE} latents, tiles of {TILE}"
    whole = Arm("diffusers fp32, whole", partial(theirs, peer, x_BCHW))
    blended = Arm("diffusers fp32, in tiles, blended", partial(_blended, peer, x_BCHW))
    goal = Goal(f"{ROW}, {LARGE}×{LARGE} latents, in tiles", "memory", 0.2)
    exact = Arm("diffloom fp32, in tiles, exact", mine(in_tiles(own), "fp32", x_BCHW), [goal])
    yield Case(title, whole, [blended, exact], counts=True, rounds=1, fewest=1)


def in_tiles(codec: Any) -> Any:
    """Our autoencoder as `space: {tile: 16}` asks for it."""
    return type(codec)(
        encoder=codec.encoder,
        decoder=codec.decoder,
        channels=(codec.image_channels, codec.latent_channels),
        factor=codec.factor,
        handling=type(codec.handling)(tile=TILE),
    )


def _blended(peer: Any, x_BCHW: torch.Tensor) -> torch.Tensor:
    peer.enable_tiling()
    peer.tile_latent_min_size, peer.tile_sample_min_size = TILE, 8 * TILE
    try:
        return theirs(peer, x_BCHW)
    finally:
        peer.disable_tiling()

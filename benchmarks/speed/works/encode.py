"""Pictures to latents: Stable Diffusion's encoder, of 34 million parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from benchmarks.speed.case import Arm, Case
from benchmarks.speed.works.decode import pair
from torch import Tensor

from diffloom.inference import ReadyNetworks


def cases(device: torch.device) -> Iterator[Case]:
    """One picture of 256 pixels a side, as a distribution of latents: as training does it, and made ready."""
    peer, own = pair(device)
    picture_BCHW = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)).tanh().to(device)
    kept = ReadyNetworks()

    @torch.inference_mode()
    def theirs() -> Tensor:
        return cast(Tensor, peer.encode(picture_BCHW).latent_dist.parameters)

    @torch.inference_mode()
    def plain() -> Tensor:
        return cast(Tensor, own.encoded(picture_BCHW))

    @torch.inference_mode()
    def ready() -> Tensor:
        return cast(Tensor, cast(Any, kept.of(own, precision="fp32").module).encoded(picture_BCHW))

    arms = [Arm("diffloom fp32, as trained", plain), Arm("diffloom fp32, ready", ready)]
    yield Case("KL-f8 encode, 256×256", Arm("diffusers fp32", theirs), arms, counts=True, rounds=3, fewest=3)

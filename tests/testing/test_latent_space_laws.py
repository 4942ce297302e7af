"""The law of latent spaces, on a right one and on mistakes made in it. Legend: B batch, C channels, H, W."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from diffloom.kinds import ImageInfo, LatentSpace, SpaceInfo


class Strided(LatentSpace):
    """Every second pixel with a deviation, right or with one mistake."""

    name = "strided"

    mistake: str = ""
    """Which."""

    def info(self, image: ImageInfo) -> SpaceInfo:
        return SpaceInfo(channels=image.channels, height=image.height // 2, width=image.width // 2)

    def build(self, *, image: ImageInfo) -> nn.Module:
        return StridedCodec(self)


class StridedCodec(nn.Module):
    def __init__(self, config: Strided) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.mistake = config.mistake
        self.shift, self.scale = config.shift, config.scale

    def normalised(self, latents_BCHW: Tensor) -> Tensor:
        if self.mistake == "scales first":
            return latents_BCHW * self.scale - self.shift
        return (latents_BCHW - self.shift) * self.scale

    def encode(self, images_BCHW: Tensor) -> Tensor:
        return self.draw(self.posterior(images_BCHW), None)

    def decode(self, x_BCHW: Tensor) -> Tensor:
        latents_BCHW = x_BCHW / self.scale + self.shift
        return (latents_BCHW / self.gain).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    def posterior(self, images_BCHW: Tensor) -> Tensor:
        mean_BCHW = images_BCHW[:, :, ::2, ::2] * self.gain
        return self.normalised(mean_BCHW) if self.mistake == "scales its posterior" else mean_BCHW

    def draw(self, posterior: Tensor, eps_BCHW: Tensor | None) -> Tensor:
        latents_BCHW = posterior
        if eps_BCHW is not None:
            noise_BCHW = eps_BCHW.flip(3) if self.mistake == "gives noise to its neighbour" else eps_BCHW
            latents_BCHW = posterior + noise_BCHW * (0.5 + posterior.abs())
        if self.mistake == "scales its posterior":
            return latents_BCHW
        is_bare = self.mistake == "draws unnormalised" and eps_BCHW is not None
        return latents_BCHW if is_bare else self.normalised(latents_BCHW)


def test_a_right_one_passes(passes: Callable[..., None]) -> None:
    passes(Strided)


@pytest.mark.parametrize(
    "mistake",
    ["scales first", "scales its posterior", "draws unnormalised", "gives noise to its neighbour"],
)
def test_a_mistake_is_caught(caught: Callable[..., None], mistake: str) -> None:
    caught("normalises_as_it_says", Strided, mistake=mistake)

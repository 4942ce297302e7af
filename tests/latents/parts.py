"""A plugin of small latent parts, loaded with `-p`: two codecs, pictures, a network.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diffloom import hookimpl
from diffloom.condition import Condition
from diffloom.kinds import (
    Backbone,
    ConditionInfo,
    Data,
    DataInfo,
    Example,
    Examples,
    ImageInfo,
    LatentSpace,
    Reconstruction,
    SpaceInfo,
)
from diffloom.process import Draws


class PlainCodec(nn.Module):
    """A 2×2 convolution each way, its latents far from the unit scale."""

    def __init__(self, image: ImageInfo, normalisation: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        super().__init__()
        self.into = nn.Conv2d(image.channels, 3, 2, stride=2)
        self.back = nn.ConvTranspose2d(3, image.channels, 2, stride=2)
        self.shift, self.scale = (torch.tensor(values)[:, None, None] for values in normalisation)

    def latents(self, images_BCHW: Tensor) -> Tensor:
        return 5 * self.into(images_BCHW) + 2

    def encode(self, images_BCHW: Tensor) -> Tensor:
        return (self.latents(images_BCHW) - self.shift) * self.scale

    def decode(self, x_BCHW: Tensor) -> Tensor:
        return self.back((x_BCHW / self.scale + self.shift - 2) / 5)

    def reconstruct(self, images_BCHW: Tensor, *, draws: Draws) -> Reconstruction:
        return Reconstruction(
            images_BCHW=images_BCHW,
            reconstructed_BCHW=self.decode(self.encode(images_BCHW)),
            regularisation_B=torch.zeros(len(images_BCHW)),
            last_layer=self.back.weight,
        )


class PosteriorCodec(PlainCodec):
    """The same, each latent with a deviation of its own."""

    def posterior(self, images_BCHW: Tensor) -> Tensor:
        mean_BCHW = self.latents(images_BCHW)
        return torch.cat([mean_BCHW, mean_BCHW.sin().abs() + 0.1], dim=1)

    def draw(self, posterior: Tensor, eps_BCHW: Tensor | None) -> Tensor:
        mean_BCHW, std_BCHW = posterior.chunk(2, dim=1)
        latents_BCHW = mean_BCHW if eps_BCHW is None else mean_BCHW + std_BCHW * eps_BCHW
        return (latents_BCHW - self.shift) * self.scale


class Halved(LatentSpace):
    """Three latent channels of half the size; posteriors, as a KL autoencoder has."""

    name = "halved"
    kind_of_padding: str = "zeros"
    """Changes nothing here; another architecture, for what compares configurations."""

    def info(self, image: ImageInfo) -> SpaceInfo:
        return SpaceInfo(channels=3, height=image.height // 2, width=image.width // 2)

    def build(self, *, image: ImageInfo) -> nn.Module:
        return PosteriorCodec(image, self.normalisation)


class HalvedPlainly(Halved):
    """The same without posteriors, as a VQ or a tiny autoencoder."""

    name = "halved_plainly"

    def build(self, *, image: ImageInfo) -> nn.Module:
        return PlainCodec(image, self.normalisation)


class Waves(Data):
    """Pictures of waves with labels and captions; each view is another if `random`."""

    name = "waves"
    examples: int = 50
    random: bool = False
    offset: float = 0.0
    offset_from: int = 0
    """The first example that `offset` is added to."""
    seconds_each: float = 0.0

    @property
    def deterministic(self) -> bool:
        return not self.random

    def build(self, *, image: ImageInfo) -> Examples:
        return WaveExamples(self, image)


class WaveExamples:
    def __init__(self, config: Waves, image: ImageInfo) -> None:
        self.config, self.image = config, image
        self.info = DataInfo(examples=config.examples, classes={"label": ("a", "b")})

    def __len__(self) -> int:
        return self.config.examples

    def example(self, index: int, rng: np.random.Generator) -> Example:
        config = self.config
        if config.seconds_each:
            time.sleep(config.seconds_each)
        phase = rng.random() if config.random else 0.0
        grid = np.arange(np.prod(self.image.shape)).reshape(self.image.shape)
        offset = config.offset if index >= config.offset_from else 0.0
        image_CHW = (0.8 * np.sin((index + 1) * grid / 7 + phase) + offset).astype(np.float32)
        return Example(image_CHW, {"label": index % 2, "caption": f"wave № {index}"})


class OneLayer(Backbone):
    """One layer over all numbers of a point and its class."""

    name = "one_layer"

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        return OneLayerModule(space, condition)


class OneLayerModule(nn.Module):
    def __init__(self, space: SpaceInfo, condition: ConditionInfo) -> None:
        super().__init__()
        numbers = space.channels * space.height * space.width
        self.layer = nn.Linear(numbers, numbers)
        self.classes = nn.Embedding(condition.classes, numbers)

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        assert condition.class_B is not None
        shift_BD = self.classes(condition.class_B) + t_B[:, None] / 1000
        return (self.layer(x_BCHW.flatten(1)) + shift_BD).view_as(x_BCHW)


@hookimpl
def diffloom_register(registrar: Any) -> None:
    for component in (Halved, HalvedPlainly, Waves, OneLayer):
        registrar.add(component)

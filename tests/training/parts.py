"""A plugin of small parts to train, loaded with `-p`: a Gaussian to learn, a network with dropout, a linear one, an
autoencoder, and a criterion with weights of its own that are not trained.

Legend: B batch, C channels, H height, W width, D width of a layer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from diffloom import hookimpl
from diffloom.errors import DataError
from diffloom.kinds import (
    Backbone,
    ConditionInfo,
    Criterion,
    Data,
    DataInfo,
    Example,
    Examples,
    ImageInfo,
    Space,
    SpaceInfo,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


class Gaussian(Data):
    """Pictures whose pixels are independent and normal, around a mean of their class."""

    name = "gaussian"
    examples: int = 50
    std: float = 0.5
    class_means: tuple[float, ...] = (0.0,)
    condition: str = "label"
    nan_at: int | None = None
    unreadable_at: int | None = None
    shapeless_at: int | None = None
    seconds_each: float = 0.0

    def build(self, *, image: ImageInfo) -> Examples:
        return GaussianExamples(self, image)


class GaussianExamples:
    def __init__(self, config: Gaussian, image: ImageInfo) -> None:
        self.config, self.image = config, image
        names = tuple(f"class-{i}" for i in range(len(config.class_means)))
        self.info = DataInfo(examples=config.examples, classes={config.condition: names})

    def __len__(self) -> int:
        return self.config.examples

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """A fresh draw each time: the random numbers belong to the position, as those of a flip or a crop do."""
        config = self.config
        if config.seconds_each:
            time.sleep(config.seconds_each)
        if index == config.unreadable_at:
            raise DataError(f"picture {index} cannot be read")
        label = index % len(config.class_means)
        shape = (self.image.channels, 1, 1) if index == config.shapeless_at else self.image.shape
        image_CHW = (config.class_means[label] + config.std * rng.standard_normal(shape)).astype("float32")
        if index == config.nan_at:
            image_CHW[:] = float("nan")
        return Example(image_CHW, {config.condition: label})


class Perceptron(Backbone):
    """Two layers with norm and dropout, over all pixels at once."""

    name = "perceptron"
    width: int = 8
    dropout: float = 0.1

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        from torch import nn

        class Module(nn.Module):
            def __init__(self, width: int, dropout: float) -> None:
                super().__init__()
                pixels = space.channels * space.height * space.width
                self.into = nn.Linear(pixels + 1, width)
                self.classes = nn.Embedding(condition.classes, width) if condition.classes else None
                self.norm = nn.BatchNorm1d(width)  # its running statistics are buffers that training changes
                self.dropout = nn.Dropout(dropout)
                self.out = nn.Linear(width, pixels)

            def forward(self, x_BCHW: Any, t_B: Any, condition: Any) -> Any:
                import torch

                h_BD = self.into(torch.cat([x_BCHW.flatten(1), t_B[:, None] / 1000], dim=1))
                if self.classes is not None:
                    h_BD = h_BD + self.classes(condition.class_B)
                return self.out(self.dropout(self.norm(h_BD).relu())).view_as(x_BCHW)

        return Module(self.width, self.dropout)


class Steady(Backbone):
    """A network that looks at each example by itself, in blocks, with dropout keyed by example: what it computes does
    not depend on how a batch is split, and no weight's gradient is rounding alone."""

    name = "steady"
    width: int = 8
    dropout: float = 0.1
    spare: bool = False
    """With a layer that nothing calls."""
    loudness: float = 1.0
    """Gradients are so many times larger on their way than where they arrive."""

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        from torch import nn

        from diffloom.nn import Block, Dropout

        class Layer(Block):
            def __init__(self, width: int, dropout: float) -> None:
                super().__init__()
                self.into = nn.Linear(width, 2 * width)
                self.dropout = Dropout(dropout)
                self.out = nn.Linear(2 * width, width)

            def forward(self, h_BD: Any) -> Any:
                return h_BD + self.out(self.dropout(self.into(h_BD).tanh()))

        class Module(nn.Module):
            def __init__(self, width: int, dropout: float, spare: bool, loudness: float) -> None:
                super().__init__()
                self.loudness = loudness
                pixels = space.channels * space.height * space.width
                self.into = nn.Linear(pixels + 1, width)
                self.spare = nn.Linear(width, width) if spare else None
                self.classes = nn.Embedding(condition.classes, width) if condition.classes else None
                self.layers = nn.ModuleList([Layer(width, dropout) for _ in range(2)])
                self.out = nn.Linear(width, pixels)

            def forward(self, x_BCHW: Any, t_B: Any, condition: Any) -> Any:
                import torch

                h_BD = self.into(torch.cat([x_BCHW.flatten(1), t_B[:, None] / 1000], dim=1))
                if self.classes is not None:
                    h_BD = h_BD + self.classes(condition.class_B)
                for layer in self.layers:
                    h_BD = layer(h_BD)
                return (self.out(h_BD) / self.loudness * self.loudness).view_as(x_BCHW)

        return Module(self.width, self.dropout, self.spare, self.loudness)


class Gain(Backbone):
    """One factor for each time: all it takes to predict the noise in a Gaussian around 0."""

    name = "gain"
    times: int

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        from torch import nn

        class Module(nn.Module):
            def __init__(self, times: int) -> None:
                super().__init__()
                self.gain = nn.Embedding(times, 1)
                nn.init.zeros_(self.gain.weight)

            def forward(self, x_BCHW: Any, t_B: Any, condition: Any) -> Any:
                return x_BCHW * self.gain(t_B.long())[:, :, None, None]

        return Module(self.times)


class Codes(Space):
    """A linear autoencoder with a normal posterior around each code."""

    name = "codes"
    channels: int = 2
    factor: int = 2

    def info(self, image: ImageInfo) -> SpaceInfo:
        if image.height % self.factor:
            raise ValueError(f"{image.height} pixels are not divisible by {self.factor}")
        return SpaceInfo(self.channels, image.height // self.factor, image.width // self.factor)

    def build(self, *, image: ImageInfo) -> nn.Module:
        from torch import nn

        from diffloom.kinds import Reconstruction
        from diffloom.nn import Dropout

        class Module(nn.Module):
            def __init__(self, channels: int, factor: int) -> None:
                super().__init__()
                self.into = nn.Conv2d(image.channels, 2 * channels, factor, stride=factor)
                self.dropout = Dropout(0.1)
                self.out = nn.ConvTranspose2d(channels, 3, factor, stride=factor)
                self.last = nn.Conv2d(3, image.channels, 1)

            def posterior(self, images_BCHW: Any) -> Any:
                return self.into(images_BCHW)

            def draw(self, posterior: Any, eps_BCHW: Any) -> Any:
                mean, log_variance = posterior.chunk(2, 1)
                return mean if eps_BCHW is None else mean + (log_variance / 2).exp() * eps_BCHW

            def encode(self, images_BCHW: Any) -> Any:
                return self.draw(self.posterior(images_BCHW), None)

            def decode(self, x_BCHW: Any) -> Any:
                return self.last(self.dropout(self.out(x_BCHW).tanh()))

            def reconstruct(self, images_BCHW: Any, *, draws: Any) -> Any:
                posterior = self.posterior(images_BCHW)
                mean, log_variance = posterior.chunk(2, 1)
                made = self.decode(self.draw(posterior, draws.normal("posterior", mean.shape[1:])))
                divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)
                return Reconstruction(images_BCHW, made, divergence, self.last.weight)

        return Module(self.channels, self.factor)


class Fixed(Criterion):
    """Squared error behind a layer that is never trained."""

    name = "fixed"

    def build(self, *, image: ImageInfo) -> nn.Module:
        import torch
        from torch import nn

        if image.channels > 3:
            raise ValueError(f"{image.channels} channels are too many")

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Conv2d(image.channels, 2, 1).requires_grad_(False)

            def forward(self, made: Any, *, so_far: Any, step: int) -> Any:
                error = self.layer(made.images_BCHW) - self.layer(made.reconstructed_BCHW)
                loss = error.square().flatten(1).mean(1)
                return loss, torch.zeros_like(loss)

        return Module()


@hookimpl
def diffloom_register(registrar: Any) -> None:
    registrar.add(Codes)
    registrar.add(Fixed)
    registrar.add(Gaussian)
    registrar.add(Perceptron)
    registrar.add(Steady)
    registrar.add(Gain)

"""A plugin of small parts to train, loaded with `-p`: a Gaussian to learn, a network with dropout, a linear one.

Legend: B batch, C channels, H height, W width, D width of a layer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from diffloom import hookimpl
from diffloom.errors import DataError
from diffloom.kinds import Backbone, ConditionInfo, Data, DataInfo, Example, Examples, ImageInfo, SpaceInfo

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


@hookimpl
def diffloom_register(registrar: Any) -> None:
    registrar.add(Gaussian)
    registrar.add(Perceptron)
    registrar.add(Gain)

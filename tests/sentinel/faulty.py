"""A plugin of small parts, sound as they are, each with a fault that a test may switch on.

Legend: B batch, C channels, H height, W width, D width of a layer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from diffloom import hookimpl
from diffloom.kinds import (
    Backbone,
    ConditionInfo,
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

WORDS = ("dark", "bright", "left", "right")


class Blobs(Data):
    """Pictures of four kinds: dark, bright, bright on the left, bright on the right, with noise of their own."""

    name = "blobs"
    examples: int = 64
    condition: str = "label"
    captioned: bool = False
    std: float = 0.3
    brightest: float = 1.0
    """What all values are multiplied with."""
    shuffled: bool = False
    nan_at: int | None = None
    seconds_each: float = 0.0

    def build(self, *, image: ImageInfo) -> Examples:
        return BlobExamples(self, image)


class BlobExamples:
    def __init__(self, config: Blobs, image: ImageInfo) -> None:
        self.config, self.image = config, image
        told = [WORDS[index % 4] for index in range(config.examples)]
        classes = {} if config.captioned else {config.condition: WORDS}
        captions = {config.condition: told} if config.captioned else {}
        self.info = DataInfo(examples=config.examples, classes=classes, captions=captions)

    def __len__(self) -> int:
        return self.config.examples

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """A fresh draw each time; a shuffled label is drawn too, so that it cannot be learned by heart."""
        config = self.config
        if config.seconds_each:
            time.sleep(config.seconds_each)
        kind = index % 4
        image_CHW = config.std * rng.standard_normal(self.image.shape)
        half = self.image.width // 2
        image_CHW[:, :, :half] += (-0.6, 0.6, 0.6, -0.6)[kind]
        image_CHW[:, :, half:] += (-0.6, 0.6, -0.6, 0.6)[kind]
        if index == config.nan_at:
            image_CHW[0, 1, 2] = float("nan")
        image_CHW *= config.brightest
        told = int(rng.integers(4)) if config.shuffled else kind
        return Example(
            image_CHW.astype("float32"), {config.condition: WORDS[told] if config.captioned else told}
        )


class Net(Backbone):
    """Three layers over all pixels at once."""

    name = "net"
    width: int = 48
    dead: bool = False
    """The second layer's activations are never above zero."""
    loud: float = 1.0
    """What the second layer's outputs are multiplied with, to be normed again."""
    deaf: bool = False
    """The class is embedded and not used."""

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        import torch
        from torch import nn

        pixels = space.channels * space.height * space.width

        class Times(nn.Module):
            """Multiplies: where a value becomes too large, it does so here."""

            def __init__(self, factor: float) -> None:
                super().__init__()
                self.factor = factor

            def forward(self, h_BD: Any) -> Any:
                return h_BD * self.factor

        class Module(nn.Module):
            def __init__(self, config: Net) -> None:
                super().__init__()
                width = config.width
                self.deaf = config.deaf
                self.into = nn.Linear(pixels + 2, width)
                self.classes = nn.Embedding(condition.classes, width) if condition.classes else None
                self.first = nn.SiLU()
                self.middle = nn.Linear(width, width)
                self.second = nn.ReLU()
                self.times = Times(config.loud)
                self.norm = nn.LayerNorm(width)
                self.out = nn.Linear(width, pixels)
                if config.dead:
                    nn.init.constant_(self.middle.bias, -100.0)
                    self.middle.bias.requires_grad_(False)

            def forward(self, x_BCHW: Any, t_B: Any, condition: Any) -> Any:
                t_B2 = torch.stack([t_B / 1000, torch.ones_like(t_B)], 1)
                h_BD = self.into(torch.cat([x_BCHW.flatten(1), t_B2], dim=1))
                if self.classes is not None:
                    h_BD = h_BD + self.classes(condition.class_B) * (0.0 if self.deaf else 1.0)
                h_BD = self.first(h_BD)
                h_BD = h_BD + self.norm(self.times(self.second(self.middle(h_BD))))
                return self.out(h_BD).view_as(x_BCHW)

        return Module(self)


class Normed(Backbone):
    """Dropout, and a norm whose running statistics are buffers that training changes."""

    name = "normed"
    dropout: float = 0.1

    def build(self, *, space: SpaceInfo, condition: ConditionInfo) -> nn.Module:
        import torch
        from torch import nn

        from diffloom.nn import Dropout

        pixels, width = space.channels * space.height * space.width, 16

        class Module(nn.Module):
            def __init__(self, dropout: float) -> None:
                super().__init__()
                self.into = nn.Linear(pixels + 1, width)
                self.classes = nn.Embedding(condition.classes, width) if condition.classes else None
                self.norm = nn.BatchNorm1d(width)
                self.dropout = Dropout(dropout)
                self.own = nn.Dropout(dropout)
                self.out = nn.Linear(width, pixels)

            def forward(self, x_BCHW: Any, t_B: Any, condition: Any) -> Any:
                h_BD = self.into(torch.cat([x_BCHW.flatten(1), t_B[:, None] / 1000], dim=1))
                if self.classes is not None:
                    h_BD = h_BD + self.classes(condition.class_B)
                return self.out(self.own(self.dropout(self.norm(h_BD).relu()))).view_as(x_BCHW)

        return Module(self.dropout)


class Latents(Space):
    """A space that is not the pictures themselves, whose scale may be forgotten."""

    name = "latents"
    gain: float = 1.6

    def info(self, image: ImageInfo) -> SpaceInfo:
        return SpaceInfo(image.channels, image.height, image.width)

    def build(self, *, image: ImageInfo) -> nn.Module:
        from torch import nn

        class Module(nn.Module):
            def __init__(self, gain: float) -> None:
                super().__init__()
                self.gain = gain

            def encode(self, images_BCHW: Any) -> Any:
                return images_BCHW * self.gain

            def decode(self, x_BCHW: Any) -> Any:
                return x_BCHW / self.gain

        return Module(self.gain)


@hookimpl
def diffloom_register(registrar: Any) -> None:
    for part in (Blobs, Net, Normed, Latents):
        registrar.add(part)

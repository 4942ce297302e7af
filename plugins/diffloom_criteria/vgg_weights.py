"""torchvision's VGG16 and LPIPS's channel weights ↔ `VGGDistance`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import Entry, Foreign, Inferred, Pointwise
from diffloom.kinds import ImageInfo
from diffloom_criteria.criteria import SMALLEST_SIDE, Perceptual
from diffloom_criteria.vgg import STAGES

FIRST, LAST = "features.0.weight", "features.28.weight"
LEARNED = "lin{}.model.1.weight"
"""LPIPS's name of a stage's channel weights, a 1×1 convolution behind a dropout."""
UNUSED = "classifier."
"""Begins the names of the layers that name ImageNet's classes, which look at features no more."""
IMAGE = ImageInfo(height=SMALLEST_SIDE, width=SMALLEST_SIDE, channels=3)
"""The network is the same for all pictures."""


class VGGWeights:
    """`features.N.weight` and `.bias`, N counting convolutions, ReLUs and poolings; `lin0` … `lin4` beside them."""

    format: ClassVar[str] = "torchvision"

    def infer(self, foreign: Foreign) -> Inferred | None:
        tensors = foreign.tensors
        ends = {FIRST: (64, 3, 3, 3), LAST: (512, 512, 3, 3)}
        if any(name not in tensors or tensors.shape(name) != shape for name, shape in ends.items()):
            return None
        is_learned = LEARNED.format(0) in tensors
        return Inferred(
            part=Perceptual(weights=tensors.place, channel_weights="learned" if is_learned else "equal"),
            shapes={"image": IMAGE},
            told=(f"VGG16, {'with' if is_learned else 'without'} LPIPS's channel weights",),
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        index = 0
        for stage, (_, count) in enumerate(STAGES):
            for number in range(count):
                for leaf in ("weight", "bias"):
                    yield Entry(f"distance.stages.{stage}.{number}.{leaf}", (f"features.{index}.{leaf}",))
                index += 2  # its ReLU has a number too
            index += 1  # so has the pooling
        for stage in range(len(STAGES)):
            ours = f"distance.channel_weights.{stage}"
            if ours in module.state_dict():
                yield Entry(ours, (LEARNED.format(stage),), Pointwise())

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return [name for name in names if name.startswith(UNUSED)]

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        return None

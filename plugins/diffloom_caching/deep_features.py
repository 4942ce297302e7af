"""The component `deep_features`; what it builds is in `memory`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from diffloom.kinds import Caching, Remembering

if TYPE_CHECKING:
    from torch import nn


class DeepFeatures(Caching):
    """Computes the inside of the network at one level in `every`, its outside at all (DeepCache, Ma et al. 2023).

    The inside changes slowly from level to level, and is most of the network: with the least depth a level that
    remembers costs 2 to 8 % of a whole one in the usual U-Nets. docs/samplers.md says what it saves and errs.

    Samplers that ask twice in a step are served by level as well.
    """

    name: ClassVar[str] = "deep_features"

    every: PositiveInt = 3
    """One level in so many is computed whole: N in the paper. 1 computes all."""
    depth: PositiveInt = 1
    """How much lies outside and is computed at every level: of a U-Net so many of the last stacks up, and all but one
    as many of the first stacks down."""
    center: float = Field(default=0.5, ge=0.0, le=1.0)
    """Around which share of the levels, from the noisiest on, those computed whole lie densest (c in equation 9), where
    `power` is above 1."""
    power: float = Field(default=1.0, ge=1.0)
    """How much denser than elsewhere (p in equation 9); 1 is evenly."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[DeepFeatures]:
        return cls(), cls(every=1), cls(every=2, depth=2), cls(every=4, center=0.3, power=1.4)

    def whole(self, levels: int) -> tuple[int, ...]:
        """Which of so many levels are computed whole: one in `every`, rounded up, the first among them."""
        count = math.ceil(levels / self.every)
        span = count * self.every
        center = self.center * levels
        low, high = -(center ** (1 / self.power)), (span - center) ** (1 / self.power)
        indices: list[int] = []
        for number in range(count):
            bent = low + (high - low) * number / count
            place = math.copysign(abs(bent) ** self.power, bent) + center  # eq. 9
            free = indices[-1] + 1 if indices else 0  # where they would fall together they follow one another
            indices.append(min(max(free, math.floor(place + 1e-9)), levels - count + number))
        return tuple(indices)

    def build(self, network: nn.Module, *, times: Sequence[float]) -> Remembering:
        """The network under one condition. Raises ValueError for one that cannot be divided, or not so deep."""
        from diffloom_caching.memory import RememberingNetwork

        depths = getattr(network, "depths", None)
        if depths is None:
            raise ValueError(
                f"deep_features needs a network that can be divided in an outside and an inside, and "
                f"{type(network).__name__} cannot; leave sampling.caching away, or take a backbone that can, such as "
                "unet or cross_attention_unet"
            )
        if self.depth > depths:
            raise ValueError(
                f"depth: {self.depth} is more than the {depths} that this network can be divided at"
            )
        return RememberingNetwork(network, depth=self.depth, times=times, whole=self.whole(len(times)))

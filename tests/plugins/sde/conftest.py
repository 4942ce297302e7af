"""What comparisons with a peer share: a network, the peer's noise levels, and the noise that both are fed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.process import CLEAN, X0, Denoised, Epsilon, Level, V, denoiser

PREDICTIONS = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}


@pytest.fixture
def doubled(doubled: Callable[[Any], None]) -> Iterator[Callable[[Any], None]]:
    """The same, with float64 as the default too, which some peers take."""

    def patch(module: Any) -> None:
        doubled(module)
        torch.set_default_dtype(torch.float64)

    yield patch
    torch.set_default_dtype(torch.float32)


@dataclass
class Beside:
    """A peer and ourselves, before one and the same task."""

    shape: tuple[int, ...] = (2, 3, 4, 5)
    dtype: torch.dtype = torch.float64
    _drawn: dict[Any, Tensor] = field(default_factory=dict)

    def normal(self, key: Any) -> Tensor:
        """Noise by its name: the same however often and by whomever it is asked for."""
        if key not in self._drawn:
            generator = torch.Generator().manual_seed(len(self._drawn))
            self._drawn[key] = torch.randn(self.shape, generator=generator, dtype=self.dtype)
        return self._drawn[key]

    @staticmethod
    def network(x: Tensor, t: float) -> Tensor:
        """A fixed nonlinear function of x and t that mixes channels and pixels and is not odd in x.

        Networks are shown t in float32.
        """
        mixed = 0.8 * x - 0.4 * x.roll(1, 1) + 0.3 * x.roll(2, 3)
        return torch.tanh(mixed + 0.2) + 0.5 * math.sin(np.float32(t) / 170)

    def denoise(self, prediction: str) -> Callable[[Tensor, Level], Denoised]:
        """The network's output read as a prediction of a kind; `flow_prediction` is ε − x₀."""
        if prediction == "flow_prediction":
            return self._denoise_flow
        convert = denoiser(lambda x, t, _: self.network(x, float(t[0])), PREDICTIONS[prediction])
        return lambda x, level: convert(x, level, Condition())

    def _denoise_flow(self, x: Tensor, level: Level) -> Denoised:
        velocity = self.network(x, level.t)
        return Denoised(x0_BCHW=x - level.sigma * velocity, eps_BCHW=x + level.alpha * velocity)

    @staticmethod
    def levels(sigmas: Sequence[float], times: Sequence[float], *, flow: bool = False) -> list[Level]:
        """The levels of the peer's sigmas: sigma/alpha where variance is preserved, sigma itself on a flow."""
        levels = []
        for sigma, time in zip(sigmas, times, strict=True):
            alpha = 1 - sigma if flow else 1 / math.sqrt(sigma**2 + 1)
            levels.append(CLEAN if sigma == 0 else Level(time, alpha, sigma if flow else sigma * alpha))
        return levels

    def noise(self, levels: Sequence[Level]) -> Fed:
        """Our side of the noise."""
        return Fed(self.normal, list(levels))


@dataclass
class Fed:
    """`WalkNoise` by name: ("step", index, draw), and ("path", index) or ("look", index) for a stretch."""

    normal: Callable[[Any], Tensor]
    levels: list[Level]

    def __call__(self, index: int, draw: int = 0) -> Tensor:
        return self.normal(("step", index, draw))

    def between(self, current: Level, following: Level) -> Tensor:
        index = self.levels.index(current)
        return self.normal(("path" if following == self.levels[index + 1] else "look", index))


@pytest.fixture
def beside() -> Beside:
    return Beside()

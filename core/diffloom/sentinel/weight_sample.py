"""A few numbers of a few weights, always the same: enough to know how weights and averages move.

Legend: N numbers.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

TENSORS, NUMBERS = 32, 256
"""Most weights that are looked at, and most numbers of each, evenly spaced."""


class WeightSample:
    """Numbers of the weights that multiply their input, where there are such; of a share of them where that is all
    this process has."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        matrices = [parameter for parameter in parameters if parameter.dim() >= 2] or list(parameters)
        self._parameters = matrices[:: -(-len(matrices) // TENSORS)]
        self.sizes = [len(_numbers(parameter)) for parameter in self._parameters]
        """How many numbers of each weight stand in a sample."""

    @torch.no_grad()
    def take(self) -> Tensor:
        """A copy of the numbers as they are now, (N,), on the weights' device."""
        return torch.cat([_numbers(parameter) for parameter in self._parameters])

    def relative(self, before_N: Tensor, now_N: Tensor, *, began_N: Tensor) -> float:
        """The root mean square of what changed over that of the weight before, the median over the weights. Those that
        began with zeros are left out: whatever they learn is much."""
        parts = zip(*(torch.split(sample, self.sizes) for sample in (before_N, now_N, began_N)), strict=True)
        ratios = [rms(now - before) / rms(before) for before, now, began in parts if began.any()]
        return statistics.median(ratios) if ratios else 0.0


def rms(values: Tensor) -> float:
    """The root of the mean square."""
    return float(values.double().square().mean().sqrt())


def _numbers(parameter: Tensor) -> Tensor:
    own = parameter.to_local() if isinstance(parameter, DTensor) else parameter
    return own.detach().flatten()[:: -(-own.numel() // NUMBERS) or 1].float()

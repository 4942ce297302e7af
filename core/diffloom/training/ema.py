"""Moving averages of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from diffloom.kinds import EMA


class Average:
    """An average of some parameters, beside them on their device. It begins as a copy."""

    def __init__(self, parameters: Sequence[nn.Parameter], config: EMA, *, batch_size: int) -> None:
        self.config = config
        self._parameters = list(parameters)
        self._averages = [parameter.detach().clone() for parameter in parameters]
        self._batch_size = batch_size

    @torch.no_grad()
    def update(self, step: int) -> None:
        """average ← r · average + (1 − r) · parameter, r what remains after optimiser step `step`, counted from 1."""
        remaining = self.config.remaining(step, batch_size=self._batch_size)
        torch._foreach_lerp_(self._averages, [p.detach() for p in self._parameters], 1 - remaining)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While entered, the parameters have the averaged values; nothing is copied but shares of weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for index, parameter in enumerate(self._parameters):
            average: Tensor = self._averages[index]
            if isinstance(average, DTensor):  # FSDP holds on to the memory of its shares
                own = parameter.detach().clone()
                parameter.copy_(average)
                average.copy_(own)
            else:
                self._averages[index] = parameter.data
                parameter.data = average

"""The exponential moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def ema_decay(step: int, *, decay: float, warmup: bool) -> float:
    """The decay after `step` optimiser steps, counted from 1.

    With warm-up it is min((1 + n) / (10 + n), decay), n = step − 1 being the averages taken before, and 0 at the
    first: the average begins at the first trained weights and forgets the initial ones.
    """
    if not warmup:
        return decay
    taken = step - 1
    return 0.0 if taken == 0 else min((1 + taken) / (10 + taken), decay)


class EMA:
    """Averages of some parameters, beside them on their device. They begin as copies."""

    def __init__(self, parameters: Sequence[nn.Parameter], *, decay: float, warmup: bool) -> None:
        self._parameters = list(parameters)
        self._averages = [parameter.detach().clone() for parameter in parameters]
        self._decay = decay
        self._warmup = warmup

    @torch.no_grad()
    def update(self, step: int) -> None:
        """average ← decay · average + (1 − decay) · parameter, after optimiser step `step`, counted from 1."""
        decay = ema_decay(step, decay=self._decay, warmup=self._warmup)
        torch._foreach_lerp_(self._averages, [p.detach() for p in self._parameters], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While entered, the parameters have the averaged values; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for index, parameter in enumerate(self._parameters):
            average: Tensor = self._averages[index]
            self._averages[index] = parameter.data
            parameter.data = average

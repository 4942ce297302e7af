"""The learned schedule: a monotone network of time. Legend: N any shape of times, H hidden units."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.kinds import TimeAxis
from diffloom.process.path import PathSchedule, Preserving

PARTS = 64
"""Of [0, 1], in one call of the network: where a time is sought, so that little is left to seek."""
HALVINGS = 54
"""Of [0, 1]: after so many, two neighbours are one float64."""
EPSILON = 2.0**-53
"""Neighbouring float64 are so far apart below 1."""


class Monotone(nn.Module):
    """A function of time that rises wherever its weights are: all that multiply are kept positive.

    l₁(t) + l₃(sigmoid(l₂(l₁(t)))) of Kingma et al. 2021, appendix H, whose second and third layer have H units.
    Every parameter is a vector or a number, so that weight decay leaves them alone.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self.slopes_H = nn.Parameter(torch.randn(hidden))
        self.offsets_H = nn.Parameter(torch.randn(hidden))
        self.heights_H = nn.Parameter(torch.randn(hidden))

    def forward(self, t_N: Tensor) -> Tensor:
        """The function at times t, float64 of the same shape."""
        line_N = functional.softplus(self.slope.double()) * t_N + self.offset.double()
        slopes_H = functional.softplus(self.slopes_H.double())
        heights_H = functional.softplus(self.heights_H.double()) / len(self.heights_H)
        bent_NH = (line_N[..., None] * slopes_H + self.offsets_H.double()).sigmoid()
        bent_N: Tensor = bent_NH @ heights_H
        return line_N + bent_N


class MonotoneSchedule(nn.Module, PathSchedule):
    """−log SNR = γ(t) falls from one end to the other as `Monotone` says, rescaled to the ends; times are 0 … 1.

    What it returns is float64 on the CPU, as of every schedule, and carries gradients to the weights.
    """

    path = Preserving()
    axis = TimeAxis(0.0, 1.0, None)
    log_snr_max: Tensor
    log_snr_span: Tensor

    def __init__(
        self, *, log_snr_max: float, log_snr_min: float, hidden: int = 1024, fixed_ends: bool = False
    ) -> None:
        super().__init__()
        self.shape = Monotone(hidden)
        ends = {
            "log_snr_max": torch.tensor(log_snr_max),
            "log_snr_span": torch.tensor(log_snr_max - log_snr_min),
        }
        for name, value in ends.items():
            if fixed_ends:
                self.register_buffer(name, value)
            else:
                self.register_parameter(name, nn.Parameter(value))

    def log_snr(self, t: Tensor) -> Tensor:
        """The log-SNR at times t (any shape), with gradients to the weights."""
        device = self.log_snr_max.device
        known = self._known(t).to(device)
        start, end = self.shape(torch.tensor([0.0, 1.0], dtype=torch.float64, device=device))
        share = (self.shape(known) - start) / (end - start)
        # |span|: however the optimiser moves it, noise grows with time
        falls: Tensor = self.log_snr_max.double() - self.log_snr_span.double().abs() * share
        return falls.cpu()

    @torch.no_grad()
    def time(self, log_snr: Tensor) -> Tensor:
        """The times of these log-SNRs, without gradients: which part of [0, 1] each is in, and where in it."""
        times_P = torch.linspace(0.0, 1.0, PARTS + 1, dtype=torch.float64)
        known_P = self.log_snr(times_P)
        wanted = log_snr.detach().to(known_P).clamp(known_P[-1], known_P[0])
        after = torch.searchsorted(-known_P, -wanted).clamp(min=1)
        return _root(lambda t: self.log_snr(t) - wanted, times_P[after - 1], times_P[after])


def _root(falling: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Where a falling function is 0 between `low` and `high`, elementwise, to float64 (Ridders 1979, eq. 3).

    Each round at least halves the bracket, and near the root doubles the digits, of which the grid has given two.
    """
    at_low, at_high, root = falling(low), falling(high), low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        at_middle = falling(middle)
        reach = (
            at_middle.square() - at_low * at_high
        ).sqrt()  # 0 only where the function is, all over the bracket
        before, root = root, middle + (middle - low) * torch.where(reach > 0, at_middle / reach, 0.0)
        if bool(((root - before).abs() <= EPSILON).all()):
            break
        for tried, found in ((middle, at_middle), (root, falling(root))):
            above = found > 0
            low, at_low = torch.where(above, tried, low), torch.where(above, found, at_low)
            high, at_high = torch.where(above, high, tried), torch.where(above, at_high, found)
    return root

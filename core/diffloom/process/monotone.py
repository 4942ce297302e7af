"""The learned schedule: a monotone network of time. Legend: N any shape of times, H hidden units."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.kinds import TimeAxis
from diffloom.process.path import PathSchedule, Preserving

HALVINGS = 54
"""Of [0, 1]: after so many, two neighbours are one float64."""


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
        """The times of these log-SNRs by bisection, without gradients."""
        wanted = log_snr.detach().to(device="cpu", dtype=torch.float64)
        low, high = torch.zeros_like(wanted), torch.ones_like(wanted)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            is_cleaner = self.log_snr(middle) > wanted
            low, high = torch.where(is_cleaner, middle, low), torch.where(is_cleaner, high, middle)
        return torch.where(wanted >= self.log_snr(torch.zeros(())), 0.0, high)

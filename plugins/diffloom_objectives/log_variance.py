"""The learned weight of each level. Legend: B batch, F features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from diffloom.kinds import Weigh
from diffloom.process import Process

WIDEST = 40.0
"""Log-SNRs are held within this of 0: what is noisier or cleaner is all the same in float32."""


class LearnedLogVariance(nn.Module):
    """error/exp(u) + u (Karras et al. 2024, section 2.1); at its best u is the logarithm of the level's mean error.

    `weigh` weights the error first. u is linear in √2·cos(2π·(f·x + φ)) of x = ln(sigma/alpha)/4, with f normal and φ
    uniform, drawn once and kept as buffers.
    """

    frequencies_F: Tensor
    phases_F: Tensor

    def __init__(self, weigh: Weigh, *, features: int) -> None:
        super().__init__()
        self.weigh = weigh
        self.register_buffer("frequencies_F", torch.randn(features))
        self.register_buffer("phases_F", torch.rand(features))
        self.linear = nn.Linear(features, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def log_variance(self, log_snr_B: Tensor) -> Tensor:
        """u at these log-SNRs, (B,)."""
        x_B = log_snr_B.clamp(-WIDEST, WIDEST).to(self.phases_F) / -8  # ln(sigma/alpha) is −½ log-SNR
        waves_BF = torch.cos(2 * math.pi * (x_B[:, None] * self.frequencies_F + self.phases_F))
        u_B: Tensor = self.linear(math.sqrt(2) * waves_BF / math.sqrt(len(self.phases_F))).squeeze(1)
        return u_B

    def forward(self, error_B: Tensor, t_B: Tensor, *, process: Process) -> Tensor:
        """The weighted loss of each example, (B,)."""
        u_B = self.log_variance(process.schedule.log_snr(t_B).detach()).to(error_B.dtype)
        return self.weigh(error_B, t_B, process=process) / u_B.exp() + u_B

"""Times by loss. Legend: B batch, P parts of the schedule, N losses remembered of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffloom.kinds import NoiseSchedule, TimeAxis
from diffloom.process import Draws, share_of
from diffloom_objectives.time_draws import time_at


class SecondMoment(nn.Module):
    """Importance sampling by the root of the mean squared loss (Nichol & Dhariwal 2021, eq. 18).

    A part is drawn with probability p, a share evenly within it; 1/(p·parts) makes the loss an unbiased estimate of its
    mean over the schedule.
    """

    losses_PN: Tensor
    """The last losses of each part, oldest first; what lies beyond its count is not meant."""
    counts_P: Tensor
    """How many losses of each part are known."""

    def __init__(self, *, parts: int, history: int, uniform_share: float) -> None:
        super().__init__()
        self.uniform_share = uniform_share
        self.register_buffer("losses_PN", torch.zeros(parts, history, dtype=torch.float64))
        self.register_buffer("counts_P", torch.zeros(parts, dtype=torch.int64))

    def parts(self, axis: TimeAxis) -> int:
        """How many are told apart: no more than there are times."""
        return min(len(self.counts_P), axis.count or len(self.counts_P))

    def probabilities(self, axis: TimeAxis) -> Tensor:
        """How likely each part is, float64 on the CPU."""
        parts, history = self.parts(axis), self.losses_PN.shape[1]
        even_P = torch.full((parts,), 1 / parts, dtype=torch.float64)
        weights_P = self.losses_PN[:parts].cpu().square().mean(1).sqrt()
        total = weights_P.sum()
        if bool((self.counts_P[:parts] < history).any()) or total == 0:  # 0: no part is to be preferred
            return even_P
        return (1 - self.uniform_share) * weights_P / total + self.uniform_share / parts

    def forward(self, draws: Draws, *, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """The times, and the factors 1/(p·parts)."""
        chances_P = self.probabilities(schedule.axis)
        parts = len(chances_P)
        ends_P = chances_P.cumsum(0)
        v_B = draws.uniform("time") * ends_P[-1]
        part_B = torch.searchsorted(ends_P, v_B, right=True).clamp(max=parts - 1)
        within_B = (1 - (ends_P[part_B] - v_B) / chances_P[part_B]).clamp(0, 1)
        t_B = time_at(schedule.axis, (part_B + within_B) / parts)
        return t_B, 1 / (chances_P[part_B] * parts)

    @torch.no_grad()
    def observe(self, t_B: Tensor, loss_B: Tensor, *, schedule: NoiseSchedule) -> None:
        """Remember the losses at these times, in their order."""
        parts, history = self.parts(schedule.axis), self.losses_PN.shape[1]
        part_B = (share_in_the_middle(schedule.axis, t_B) * parts).long().clamp(max=parts - 1)
        for part, loss in zip(part_B.tolist(), loss_B.detach().double().tolist(), strict=True):
            count = int(self.counts_P[part])
            if count < history:
                self.losses_PN[part, count] = loss
                self.counts_P[part] += 1
            else:
                self.losses_PN[part] = self.losses_PN[part].roll(-1)
                self.losses_PN[part, -1] = loss


def share_in_the_middle(axis: TimeAxis, t_B: Tensor) -> Tensor:
    """The share of each time, and of a counted one that of the middle of its part."""
    if axis.count is None:
        return share_of(axis, t_B)
    number_B = ((t_B - axis.first) / axis.stride).round() if axis.count > 1 else torch.zeros_like(t_B)
    return (number_B + 0.5) / axis.count

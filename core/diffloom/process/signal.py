"""How fast the signal is lost along a schedule's axis: the density of the continuous bound, and of its weights.

The share u of a time is 0 at the axis' first and 1 at its last. Legend: B batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule, TimeAxis

STEP = 1e-7
"""Of the differences in u: their error is some 1e-14 of the curvature, and float64 keeps nine digits of the slope."""


def share_of(axis: TimeAxis, t_B: Tensor) -> Tensor:
    """The share u of each time, so that `axis.at(u)` gives it back; float64 (B,)."""
    s, t_B = axis.shift, t_B.double()
    first, last = (time / (s - (s - 1) * time) for time in (axis.first, axis.last))
    return (t_B / (s - (s - 1) * t_B) - first) / (last - first)


def log_snr_fall(schedule: NoiseSchedule, t_B: Tensor) -> Tensor:
    """−d log-SNR/du at times of a continuous axis, float64 (B,), by differences; gradients reach a learned schedule."""
    cleaner_B, noisier_B, between_B = _around(schedule.axis, t_B)
    return (schedule.log_snr(cleaner_B) - schedule.log_snr(noisier_B)) / between_B


def snr_fall(schedule: NoiseSchedule, t_B: Tensor) -> Tensor:
    """−dSNR/du, float64 (B,).

    Of T counted times it is T times what is lost from the time before to this one, and at the first, before which
    SNR is infinite, from this one to the next.
    """
    axis = schedule.axis
    if axis.count is None:
        cleaner_B, noisier_B, between_B = _around(axis, t_B)
    else:
        noisier_B = torch.where(t_B > axis.first, t_B, t_B + axis.stride)
        cleaner_B = (noisier_B - axis.stride).clamp(min=axis.first)
        between_B = torch.full_like(t_B, 1 / axis.count)
    return (schedule.log_snr(cleaner_B).exp() - schedule.log_snr(noisier_B).exp()) / between_B


def _around(axis: TimeAxis, t_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A time on either side of each, or at an end the end, and how far apart they are in u."""
    u_B = share_of(axis, t_B)
    low_B, high_B = (u_B - STEP).clamp(min=0), (u_B + STEP).clamp(max=1)
    cleaner_B, noisier_B = (axis.at(share_B).clamp(axis.first, axis.last) for share_B in (low_B, high_B))
    return cleaner_B, noisier_B, high_B - low_B

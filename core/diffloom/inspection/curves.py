"""A schedule as curves: what it does at every time, and what its steps weigh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule, Weigh
from diffloom.process import Process

CONTINUOUS_STEPS = 1000
"""Into how many steps a schedule is cut that is trained on all times between its ends."""


@dataclass(frozen=True)
class Curves:
    """One schedule at all its times; every curve is (T,) float64, NaN where it has no value."""

    name: str
    share: Tensor
    """How far each time is on the way from the cleanest (0) to the noisiest (1)."""
    t: Tensor
    """The times themselves, as the network is shown them."""
    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor
    """log(alpha²/sigma²) in nats."""
    beta: Tensor
    """Variance that one step from the time before adds: β_t of a table."""
    bound_weight: Tensor
    """What the squared error of ε counts in the variational bound's term of this step, in nats."""
    loss_weight: Tensor | None = None
    """What it counts in a model's own loss, beside the factor that all times share."""
    continuous: bool = False
    """Whether the steps are ours, and not the schedule's."""


def curves_of(
    schedule: NoiseSchedule, *, name: str, weigh: Weigh | None = None, process: Process | None = None
) -> Curves:
    """The curves of a schedule; with `weigh` and the process around it, those of a loss too."""
    axis = schedule.axis
    count = axis.count or CONTINUOUS_STEPS
    share = torch.linspace(0, 1, count, dtype=torch.float64)
    t = (
        axis.at(share)
        if axis.count is None
        else torch.tensor([axis.whole(i) for i in range(count)], dtype=torch.float64)
    )
    with torch.no_grad():
        alpha, sigma, log_snr = schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)
        loss_weight = None
        if weigh is not None and process is not None:
            loss_weight = _epsilon_weight(weigh, t, alpha, sigma, process)
    clean = torch.tensor([torch.inf if axis.count else torch.nan], dtype=torch.float64)
    before = torch.cat([clean, log_snr[:-1]])
    gained = before - log_snr  # log of SNR(s)/SNR(t), from time s before to t
    return Curves(
        name=name,
        share=share,
        t=t,
        alpha=alpha,
        sigma=sigma,
        log_snr=_finite(log_snr),
        beta=sigma**2 * -torch.expm1(-gained),  # Ho et al. 2020, eq. 2; see `diffloom.process.Posterior`
        bound_weight=_finite(torch.expm1(gained) / 2),  # Kingma et al. 2021, eq. 14
        loss_weight=loss_weight,
        continuous=axis.count is None,
    )


def _epsilon_weight(weigh: Weigh, t: Tensor, alpha: Tensor, sigma: Tensor, process: Process) -> Tensor:
    """The weight on ε's squared error of what `weigh` puts on that of the prediction's own target."""
    ones = torch.ones_like(t)
    own = weigh(ones, t, process=process) - weigh(0 * ones, t, process=process)  # a learned one adds a term
    gain = torch.as_tensor(process.prediction.gain(alpha, sigma), dtype=torch.float64)
    return _finite(own * (gain * sigma / alpha) ** 2)


def _finite(curve: Tensor) -> Tensor:
    return torch.where(curve.isfinite(), curve, torch.nan)

"""Where the probability-flow ODE carries a point, exactly. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from diffloom.process import Level
from diffloom.testing.oracle.mixture import GaussianMixture


def carried(mixture: GaussianMixture, x_BCHW: Tensor, start: Level, end: Level) -> Tensor:
    """x at level `end` of the solution that stands at x_BCHW at level `start`; float64.

    Of a single Gaussian in closed form; of a mixture with one pixel by its quantiles, which the flow keeps: it is a
    monotone map from one density on the line to another. Raises ValueError for other mixtures, which have no such form.
    """
    if len(mixture.weights_J) == 1:
        return _stretched(mixture, x_BCHW.double(), start, end)
    if mixture.means_JCHW[0].numel() == 1:
        return _at_equal_quantiles(mixture, x_BCHW.double(), start, end)
    raise ValueError("the flow of several Gaussians with several pixels has no closed form; take fine steps")


def _stretched(mixture: GaussianMixture, x_BCHW: Tensor, start: Level, end: Level) -> Tensor:
    """The distance from the mean, in standard deviations, stays the same."""

    def deviation(level: Level) -> float:
        return sqrt((level.alpha * mixture.stds_J[0].item()) ** 2 + level.sigma**2)

    away = x_BCHW - start.alpha * mixture.means_JCHW
    return end.alpha * mixture.means_JCHW + deviation(end) / deviation(start) * away


def _at_equal_quantiles(mixture: GaussianMixture, x_BCHW: Tensor, start: Level, end: Level) -> Tensor:
    """By bisection, of the log-odds log F − log(1 − F), which lose no digits in the tails."""
    wanted = _log_odds(mixture, x_BCHW, start)
    reach = 40 * (end.alpha * mixture.stds_J.max() + end.sigma)
    low = torch.full_like(wanted, float(end.alpha * mixture.means_JCHW.min() - reach))
    high = torch.full_like(wanted, float(end.alpha * mixture.means_JCHW.max() + reach))
    while bool(((high - low) > 4 * torch.finfo(torch.float64).eps * (low.abs() + high.abs())).any()):
        middle = (low + high) / 2
        above = _log_odds(mixture, middle, end) > wanted
        if bool(((middle == low) | (middle == high)).all()):
            break
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2


def _log_odds(mixture: GaussianMixture, x_BCHW: Tensor, level: Level) -> Tensor:
    """log F(x_t)/(1 − F(x_t)) of the noised mixture, shaped like x."""
    deviation_J = (level.alpha**2 * mixture.stds_J**2 + level.sigma**2).sqrt()
    z = (x_BCHW[..., None] - level.alpha * mixture.means_JCHW.flatten()) / deviation_J
    log_weights_J = mixture.weights_J.log()
    below = (torch.special.log_ndtr(z) + log_weights_J).logsumexp(-1)
    above = (torch.special.log_ndtr(-z) + log_weights_J).logsumexp(-1)
    log_odds: Tensor = below - above
    return log_odds

"""The variational bound on −log p(x₀), term by term, in bits per dimension (Ho et al. 2020, eq. 5).

Logarithms are natural inside, and each term is a mean over C, H and W. Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule, ReverseVariance
from diffloom.process.denoised import Denoised
from diffloom.process.forward import Posterior
from diffloom.process.types import CLEAN, Level


def normal_kl(
    mean: Tensor, log_variance: Tensor | float, other_mean: Tensor, other_log_variance: Tensor | float
) -> Tensor:
    """KL(N(mean, exp log_variance) ‖ N(other_mean, exp other_log_variance)) of each element, in nats."""
    log_ratio = _as(log_variance - other_log_variance, mean)
    precision = _as(other_log_variance, mean).neg().exp()
    return 0.5 * (log_ratio.expm1() - log_ratio + (mean - other_mean).square() * precision)


def pixel_log_likelihood(
    x: Tensor, mean: Tensor, log_variance: Tensor | float, *, bins: int | None = 256
) -> Tensor:
    """log p of each element of x, in nats, under N(mean, exp log_variance).

    Of the mass in the bin around x, where x is one of `bins` values evenly from −1 to 1; the outermost bins reach to
    infinity, so that all of them sum to 1 (Ho et al. 2020, eq. 13). With `bins` None it is the density at x.
    """
    log_std = _as(log_variance, x) / 2
    if bins is None:
        return -0.5 * ((x - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi)
    half = 1 / (bins - 1)
    off, precision = x - mean, (-log_std).exp()
    # The bin's mass is even in the distance: taken in the left tail, where the logarithm of Φ is exact.
    far, near = (-off.abs() - half) * precision, (-off.abs() + half) * precision
    log_near = torch.special.log_ndtr(near)
    inside = log_near + torch.log(-torch.expm1(torch.special.log_ndtr(far) - log_near))
    below = torch.special.log_ndtr((off + half) * precision)
    above = torch.special.log_ndtr((half - off) * precision)
    return torch.where(x < half - 1, below, torch.where(x > 1 - half, above, inside))


def bits(nats_BCHW: Tensor) -> Tensor:
    """Bits per dimension of each example, (B,)."""
    return nats_BCHW.flatten(1).mean(1) / math.log(2)


def prior_bits(x0_BCHW: Tensor, *, alpha: Tensor | float, sigma: Tensor | float, prior_std: float) -> Tensor:
    """L_T: KL(q(x_T | x₀) ‖ N(0, prior_std²)) in bits per dimension, (B,), for the last level's alpha and sigma."""
    log_variance = 2 * _as(sigma, x0_BCHW).log()
    prior = torch.zeros_like(x0_BCHW)
    return bits(normal_kl(alpha * x0_BCHW, log_variance, prior, 2 * math.log(prior_std)))


class Chain:
    """The T steps of a schedule that counts its times: what the bound is the sum over."""

    def __init__(self, schedule: NoiseSchedule) -> None:
        """Raises ValueError for a schedule that counts none, or one alone."""
        axis = schedule.axis
        if axis.count is None or axis.count < 2:
            raise ValueError("the bound of a chain needs a schedule that counts its times, of two at least")
        self.schedule = schedule
        self.count = axis.count
        """T."""
        first, second = (schedule.levels([axis.whole(number)])[0] for number in (0, 1))
        self.least = Posterior.between(second, first).variance
        """β̃ of the second step, which stands for that of the first, 0 (`ReverseVariance.log_variance`)."""

    def steps(self, t_B: Tensor) -> tuple[tuple[Level, Level], ...]:
        """The step down from each time: to the time before, or from the first into the clean level."""
        axis = self.schedule.axis
        numbers = ((t_B - axis.first) / axis.stride).round().long().tolist()
        *currents, _ = self.schedule.levels([axis.whole(number) for number in numbers])
        below = iter(self.schedule.levels([axis.whole(number - 1) for number in numbers if number]))
        return tuple(
            (current, next(below) if number else CLEAN)
            for current, number in zip(currents, numbers, strict=True)
        )


def step_bits(
    x0_BCHW: Tensor,
    denoised: Denoised,
    steps: Sequence[tuple[Level, Level]],
    *,
    variance: ReverseVariance,
    least: float,
    bins: int | None = 256,
) -> Tensor:
    """The bound's term of each example at its own step, in bits per dimension, (B,).

    Between noisy levels L_{t−1}, the KL from the posterior to the reverse step; into the clean level L_0, the negative
    log-likelihood of x₀ (`bins` as in `pixel_log_likelihood`). `denoised` is what is known of x_t.
    """
    log_variance_BCHW = _log_variances(denoised, steps, variance, least)
    last = [row for row, (_, following) in enumerate(steps) if following.is_clean]
    others = [row for row, (_, following) in enumerate(steps) if not following.is_clean]
    found_BCHW = denoised.x0_BCHW
    decoded_B = bits(
        -pixel_log_likelihood(x0_BCHW[last], found_BCHW[last], log_variance_BCHW[last], bins=bins)
    )
    posteriors = [Posterior.between(*steps[row]) for row in others]
    share_B111 = _column([posterior.x0 for posterior in posteriors], like=x0_BCHW)
    true_B111 = _column([math.log(posterior.variance) for posterior in posteriors], like=x0_BCHW)
    # Both means have the same share of x_t: left out, it cannot drown their difference.
    mean_BCHW, other_BCHW = share_B111 * x0_BCHW[others], share_B111 * found_BCHW[others]
    divergence_B = bits(normal_kl(mean_BCHW, true_B111, other_BCHW, log_variance_BCHW[others]))
    return _in_order([decoded_B, divergence_B], [*last, *others])


def _log_variances(
    denoised: Denoised, steps: Sequence[tuple[Level, Level]], variance: ReverseVariance, least: float
) -> Tensor:
    """The variance's logarithm of each row, shaped like x₀; rows that take the same step are asked together."""
    rows: dict[tuple[Level, Level], list[int]] = {}
    for row, step in enumerate(steps):
        rows.setdefault(step, []).append(row)
    like = denoised.x0_BCHW
    parts = [
        _as(variance.log_variance(*step, _of_rows(denoised, which), least=least), like).expand(
            len(which), *like.shape[1:]
        )
        for step, which in rows.items()
    ]
    return _in_order(parts, [row for which in rows.values() for row in which])


def _of_rows(denoised: Denoised, rows: list[int]) -> Denoised:
    raw = denoised.variance_BCHW
    return Denoised(
        x0_BCHW=denoised.x0_BCHW[rows],
        eps_BCHW=denoised.eps_BCHW[rows],
        variance_BCHW=None if raw is None else raw[rows],
    )


def _in_order(parts: list[Tensor], rows: list[int]) -> Tensor:
    """The parts as one, put where their rows were."""
    together = torch.cat(parts)
    return together[torch.tensor(rows, device=together.device).argsort()]


def _column(values: list[float], *, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).to(like).view(-1, *[1] * (like.dim() - 1))


def _as(value: Tensor | float, like: Tensor) -> Tensor:
    """A number or a tensor in `like`'s type and place; a number is not rounded on the way."""
    return value.to(like) if isinstance(value, Tensor) else like.new_tensor(value)

"""The forward process q: clean pictures become noise. Only arithmetic, so no torch import.

Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds import NoiseSchedule
    from diffloom.process.types import Level


def alpha_sigma(schedule: NoiseSchedule, t_B: Tensor, like_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at the times t_B, shape (B, 1, 1, 1), on `like`'s device.

    Looked up in float64, then cast to `like`'s dtype: the one place where precision is given away.
    """
    shape = (-1, *[1] * (like_BCHW.dim() - 1))
    alpha, sigma = schedule.alpha(t_B).to(like_BCHW), schedule.sigma(t_B).to(like_BCHW)
    return alpha.view(shape), sigma.view(shape)


def noised(x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
    """A draw of q(x_t | x₀) made of the standard normal noise eps (Ho et al. 2020, eq. 4)."""
    return alpha * x0 + sigma * eps


class Posterior(NamedTuple):
    """q(x_s | x_t, x₀) for s < t: normal, its mean linear in x_t and x₀ (Ho et al. 2020, eq. 6 and 7).

    Written with the share `drop` = 1 − SNR(t)/SNR(s) of the signal-to-noise ratio lost from s to t, which has
    no cancellation and holds for any schedule: sigma_t²·drop is the β of eq. 7 where the schedule preserves
    the variance, 1 − ᾱ_t/ᾱ_s, so that a stride over many times is one step with a larger β.
    """

    x_t: float
    """Coefficient of x_t in the mean."""
    x0: float
    """Coefficient of x₀ in the mean."""
    variance: float
    """β̃ of eq. 7; 0 where s is clean."""
    beta: float
    """Variance that x_t has over x_s, the effective β of the stride."""

    @classmethod
    @lru_cache(maxsize=1024)  # a walk asks before it begins, and in every step
    def between(cls, current: Level, following: Level) -> Posterior:
        """The posterior at level s (`following`) given x at the noisier level t (`current`), in float64."""
        assert current.alpha * following.sigma < following.alpha * current.sigma, "a step must lose noise"
        ratio = following.sigma / current.sigma
        drop = 1 - (current.alpha * ratio / following.alpha) ** 2
        return cls(
            x_t=current.alpha / following.alpha * ratio**2,
            x0=following.alpha * drop,
            variance=following.sigma**2 * drop,
            beta=current.sigma**2 * drop,
        )

    def mean(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """The mean of x_s, shaped like x_t."""
        return self.x0 * x0 + self.x_t * x_t

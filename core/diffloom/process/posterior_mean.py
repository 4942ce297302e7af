"""The mean of the reverse step as a prediction. Legend: alpha, sigma are floats or broadcast against the pictures."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from diffloom.kinds import NoiseSchedule

NEARLY = 1e-3
"""What a time may fall short of a whole one: in float32 alpha and sigma say it no better."""
Given = TypeVar("Given", Tensor, float)


class PosteriorMean:
    """The network outputs μ̃, the mean of q(x_s | x_t, x₀), s one time of training before t (Ho et al. 2020, eq. 7).

    Into the clean level μ̃ is x₀. improved-diffusion calls this `PREVIOUS_X`.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        """`schedule` is the one the network is trained with. Raises ValueError where its times are not counted."""
        if schedule.axis.count is None:
            raise ValueError(
                "posterior_mean predicts the step to the time before, and this schedule's times are not counted; "
                "take a schedule with a table, or another prediction"
            )
        self.schedule = schedule

    def scale_in(self, alpha: Tensor | float, sigma: Tensor | float) -> float:
        """1."""
        return 1.0

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: μ̃."""
        of_x_t, of_x0 = self._coefficients(alpha, sigma)
        return of_x_t * (alpha * x0 + sigma * eps) + of_x0 * x0

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε."""
        of_x_t, of_x0 = self._coefficients(alpha, sigma)
        x0 = (output - of_x_t * x_t) / of_x0
        return x0, (x_t - alpha * x0) / sigma

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """The coefficient of x₀ in μ̃, alpha_s·(1 − SNR(t)/SNR(s))."""
        return self._coefficients(alpha, sigma)[1]

    def _coefficients(
        self, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor | float, Tensor | float]:
        """Those of x_t and of x₀, floats where alpha and sigma are."""
        if not isinstance(alpha, Tensor) and not isinstance(sigma, Tensor):
            of_x_t, of_x0 = self._of(*(torch.tensor(value, dtype=torch.float64) for value in (alpha, sigma)))
            return of_x_t.item(), of_x0.item()
        like = alpha if isinstance(alpha, Tensor) else sigma
        assert isinstance(like, Tensor)
        both = (torch.as_tensor(value).to(device="cpu", dtype=torch.float64) for value in (alpha, sigma))
        of_x_t, of_x0 = self._of(*both)
        return of_x_t.to(like), of_x0.to(like)

    def _of(self, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """`diffloom.process.Posterior.between` for each level and its predecessor, in float64."""
        axis = self.schedule.axis
        t = self.schedule.time((alpha / sigma).log() * 2)
        into_clean = t < axis.first + (1 - NEARLY) * axis.stride
        s = (t - axis.stride).clamp(min=axis.first)
        alpha_s, sigma_s = self.schedule.alpha(s), self.schedule.sigma(s)
        kept = alpha / alpha_s * (sigma_s / sigma)
        of_x_t = torch.where(into_clean, 0.0, kept * sigma_s / sigma)
        of_x0 = torch.where(into_clean, 1.0, alpha_s * (1 - kept.square()))
        return of_x_t, of_x0

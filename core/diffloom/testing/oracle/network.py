"""The oracle as a network. Legend: B batch, C channels, H height, W width, J Gaussians."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.process import Denoised, Posterior, Process
from diffloom.testing.oracle.mixture import GaussianMixture


class OracleNetwork(nn.Module):
    """The exact denoiser, put into the terms of one model: `bind` says its schedule, prediction and variance.

    What a network sees of the level is t, in float32. Whole times of a table are exact; another time is known to 6e-8
    of its size, which moves x₀ by less than 1e-5 of x_t's own size wherever the schedule changes gently.
    """

    def __init__(self, *, mixture: GaussianMixture, learn_variance: bool = False) -> None:
        super().__init__()
        self.learn_variance = learn_variance
        self.means_JCHW = nn.Parameter(torch.empty(mixture.means_JCHW.shape))
        self._mixture = mixture
        self._process: Process | None = None
        with torch.no_grad():
            self.means_JCHW.copy_(mixture.means_JCHW)

    @property
    def mixture(self) -> GaussianMixture:
        """The data it denoises, with the means that its weights now are, on their device."""
        device = self.means_JCHW.device
        return replace(
            self._mixture,
            means_JCHW=self.means_JCHW.double(),
            stds_J=self._mixture.stds_J.to(device),
            weights_J=self._mixture.weights_J.to(device),
            classes_J=self._mixture.classes_J.to(device),
        )

    def bind(self, process: Process) -> None:
        """What alpha and sigma are at a time, what is to be predicted, and which variance.

        Raises ValueError for a learned variance on continuous times, where no step has a size of its own.
        """
        if self.learn_variance and process.schedule.axis.count is None:
            raise ValueError(
                "a learned variance is that of the step to the time before, and the schedule's times are continuous; "
                "take a fixed variance, or a schedule of counted times"
            )
        self._process = process

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        """The prediction's target at E[x₀ | x_t], (B, C, H, W) in x's dtype; then the variance, where it is learned.

        An estimate of x₀ in further channels is not looked at. Raises ValueError before `bind`.
        """
        if self._process is None:
            raise ValueError(
                "the oracle's answer depends on schedule and prediction; tell it by bind(process)"
            )
        schedule, prediction, mixture = self._process.schedule, self._process.prediction, self.mixture
        # float32 may have rounded an end of the axis outwards
        t_B = t_B.double().clamp(schedule.axis.first, schedule.axis.last)
        alpha = schedule.alpha(t_B).to(x_BCHW.device).view(-1, 1, 1, 1)
        sigma = schedule.sigma(t_B).to(x_BCHW.device).view(-1, 1, 1, 1)
        channels = mixture.shape[0]
        x_t = x_BCHW[:, :channels].double() / prediction.scale_in(alpha, sigma)
        known = mixture.belief(x_t, alpha, sigma, condition.class_B)
        eps = (x_t - alpha * known.x0_BCHW) / sigma
        output = prediction.target(known.x0_BCHW, eps, alpha, sigma)
        if self.learn_variance:
            output = torch.cat([output, self._variance(known.variance_BCHW, t_B)], 1)
        return output.to(x_BCHW.dtype)

    def _variance(self, variance_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """The raw output that makes the reverse step to the time before as wide as it is, pixel by pixel."""
        rows = [self._step_variance(row[None], t) for row, t in zip(variance_BCHW, t_B.tolist(), strict=True)]
        return torch.cat(rows)

    def _step_variance(self, variance_1CHW: Tensor, t: float) -> Tensor:
        """Of one row. The log-variance of every learned variance is affine in the network's output: it is inverted."""
        assert self._process is not None
        schedule, reverse = self._process.schedule, self._process.variance
        axis = schedule.axis
        t = max(
            t, axis.first + axis.stride
        )  # the step into the clean level has none; its neighbour's will do
        current, following, _ = schedule.levels([t, t - axis.stride])
        step = Posterior.between(current, following)
        true = step.variance + step.x0**2 * variance_1CHW  # law of total variance (Bao et al. 2022, eq. 7)

        def log_variance(output: float) -> Tensor | float:
            given = torch.full_like(variance_1CHW, output)
            denoised = Denoised(x0_BCHW=given, eps_BCHW=given, variance_BCHW=given)
            return reverse.log_variance(current, following, denoised, least=step.variance)

        low, high = log_variance(0.0), log_variance(1.0)
        return (true.log() - low) / (high - low)

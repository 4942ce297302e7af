"""The variational bound as a loss, in bits per dimension. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import torch
from torch import Tensor

from diffloom.kinds import Weigh
from diffloom.process import (
    Chain,
    Denoised,
    Draws,
    Process,
    bits,
    log_snr_fall,
    pixel_log_likelihood,
    prior_bits,
    step_bits,
)
from diffloom_objectives.loss import NoisedLoss, understood
from diffloom_objectives.noising import Noised, Noising
from diffloom_objectives.regression import squared, weighted_error


class VariationalBound(NoisedLoss):
    """An unbiased estimate of L_vlb from one time for each example.

    Where times are counted: L_T, and T times the term of the step down from t (Ho et al. 2020, eq. 5). On a continuous
    axis, from its first time on: the prior's and the decoder's terms, and ½·(−dλ/du)·‖ε − ε̂‖² (Kingma et al. 2021,
    eq. 17), which needs no variance. Gradients reach a learned schedule through all three.
    """

    def __init__(self, noising: Noising, *, bins: int | None = 256, self_conditioning: bool = False) -> None:
        super().__init__(noising, self_conditioning=self_conditioning)
        self.bins = bins

    def compare(self, output_BCHW: Tensor, noised: Noised, *, process: Process, draws: Draws) -> Tensor:
        """The estimate of each example."""
        denoised = understood(output_BCHW, noised, process)
        prior_B = self._prior(noised.x0_BCHW, process)
        if process.schedule.axis.count is not None:
            return prior_B + whole_chain(denoised, noised, process, bins=self.bins)
        fall_B = log_snr_fall(process.schedule, noised.t_B).to(noised.x0_BCHW)
        difference = noised.eps_BCHW - denoised.eps_BCHW
        return prior_B + self._decoded(noised, process, draws) + 0.5 * fall_B * bits(difference.square())

    def _prior(self, x0_BCHW: Tensor, process: Process) -> Tensor:
        schedule = process.schedule
        (last, _) = schedule.levels([schedule.axis.last])
        alpha, sigma = _ends(process, schedule.axis.last, x0_BCHW)
        return prior_bits(x0_BCHW, alpha=alpha, sigma=sigma, prior_std=schedule.prior_std(last))

    def _decoded(self, noised: Noised, process: Process, draws: Draws) -> Tensor:
        """−log p(x₀ | x) at the first time, with noise of its own: the decoder is normal around x/alpha."""
        x0_BCHW = noised.x0_BCHW
        alpha, sigma = _ends(process, process.schedule.axis.first, x0_BCHW)
        eps_BCHW = draws.normal(
            "decoder's noise", tuple(x0_BCHW.shape[1:]), dtype=x0_BCHW.dtype, device=x0_BCHW.device
        )
        ratio = sigma / alpha
        mean_BCHW = x0_BCHW + ratio * eps_BCHW
        return bits(-pixel_log_likelihood(x0_BCHW, mean_BCHW, 2 * ratio.log(), bins=self.bins))


class Hybrid(NoisedLoss):
    """L_simple + λ·L_vlb, the bound training the variance alone (Nichol & Dhariwal 2021, eq. 16)."""

    def __init__(
        self,
        noising: Noising,
        *,
        weigh: Weigh,
        bound_weight: float = 0.001,
        bins: int | None = 256,
        self_conditioning: bool = False,
    ) -> None:
        super().__init__(noising, self_conditioning=self_conditioning)
        self.weigh = weigh
        self.bound_weight = bound_weight
        self.bins = bins

    def compare(self, output_BCHW: Tensor, noised: Noised, *, process: Process, draws: Draws) -> Tensor:
        """The loss of each example; the prior's term, a constant, is left out."""
        denoised = understood(output_BCHW, noised, process)
        prediction_BCHW = output_BCHW[:, : noised.x0_BCHW.shape[1]]
        simple_B = weighted_error(squared, self.weigh, prediction_BCHW, noised, process)
        stopped = Denoised(
            denoised.x0_BCHW.detach(), denoised.eps_BCHW.detach(), denoised.variance_BCHW
        )  # section 3.1: the mean gets no gradient from the bound
        return simple_B + self.bound_weight * whole_chain(stopped, noised, process, bins=self.bins)


def whole_chain(denoised: Denoised, noised: Noised, process: Process, *, bins: int | None) -> Tensor:
    """T times the term of each example's step: over uniform times, the mean is the sum of all T. (B,).

    Raises ValueError for a schedule that does not count its times.
    """
    chain = Chain(process.schedule)
    terms_B = step_bits(
        noised.x0_BCHW,
        denoised,
        chain.steps(noised.t_B),
        variance=process.variance,
        least=chain.least,
        bins=bins,
    )
    return chain.count * terms_B


def _ends(process: Process, time: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at one of the axis' ends, with the gradient of a learned schedule."""
    t = torch.tensor(time, dtype=torch.float64)
    return process.schedule.alpha(t).to(like), process.schedule.sigma(t).to(like)

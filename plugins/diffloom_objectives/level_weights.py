"""Weights that are functions of the noise level. Legend: B batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.process import Chain, Denoised, Posterior, Process, snr_fall

LEAST_SIGNAL = 1e-10
"""Where alpha is 0, min(SNR, γ)/SNR and its like are taken at this alpha: their limits, to the last digit."""


class Unweighted:
    """The error as it is."""

    def __call__(self, error_B: Tensor, t_B: Tensor, *, process: Process) -> Tensor:
        """error_B."""
        return error_B


class LevelWeight(ABC):
    """A weight of squared errors in x₀, brought to what the network predicts.

    An error of 1 in x₀ is one of `gain` in the output, so that the weight is divided by gain². It is no part of what
    is minimised: a learned schedule has no gradient from it.
    """

    @abstractmethod
    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        """The weight of each example's squared error in x₀, float64 (B,)."""

    @torch.no_grad()
    def of_output(self, t_B: Tensor, process: Process) -> Tensor:
        """The weight of the squared error of what is predicted, float64 (B,)."""
        alpha_B = process.schedule.alpha(t_B).clamp(min=LEAST_SIGNAL)
        sigma_B = process.schedule.sigma(t_B)
        gain_B = process.prediction.gain(alpha_B, sigma_B)
        return self.of_x0((alpha_B / sigma_B).square(), t_B, process) / gain_B**2

    def __call__(self, error_B: Tensor, t_B: Tensor, *, process: Process) -> Tensor:
        """The weighted error of each example, (B,)."""
        return error_B * self.of_output(t_B, process).to(error_B)


@dataclass(frozen=True)
class MinSNRWeight(LevelWeight):
    """min(SNR, γ)."""

    gamma: float

    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        return snr_B.clamp(max=self.gamma)  # Hang et al. 2023, section 3.4


@dataclass(frozen=True)
class SoftMinSNRWeight(LevelWeight):
    """SNR·γ/(SNR + γ)."""

    gamma: float

    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        return snr_B * self.gamma / (snr_B + self.gamma)  # Crowson et al. 2024: 1/(σ² + 1/γ)


@dataclass(frozen=True)
class P2Weight(LevelWeight):
    """SNR/(k + SNR)^γ."""

    k: float
    gamma: float

    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        return snr_B / (self.k + snr_B) ** self.gamma  # Choi et al. 2022, eq. 8, times ε's own SNR


@dataclass(frozen=True)
class EDMWeight(LevelWeight):
    """SNR + 1/σ_data²."""

    sigma_data: float

    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        return snr_B + self.sigma_data**-2  # Karras et al. 2022, table 1: (σ² + σ_data²)/(σ·σ_data)²


@dataclass(frozen=True)
class SigmoidWeight(LevelWeight):
    """½·sigmoid(b − λ)·(−dSNR/du)."""

    bias: float

    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        weight_B = (self.bias - snr_B.log()).sigmoid()
        return 0.5 * weight_B * snr_fall(process.schedule, t_B)  # Kingma & Gao 2023, with dSNR = SNR·dλ


class BoundWeight(LevelWeight):
    """(weight of x₀ in the posterior's mean)²/(2σ²), or ½·(−dSNR/du) on a continuous axis."""

    def of_x0(self, snr_B: Tensor, t_B: Tensor, process: Process) -> Tensor:
        if process.schedule.axis.count is None:
            return 0.5 * snr_fall(process.schedule, t_B)  # Kingma et al. 2021, eq. 17
        chain = Chain(process.schedule)
        nothing = torch.zeros(1)
        unseen = Denoised(x0_BCHW=nothing, eps_BCHW=nothing)
        steps = chain.steps(t_B)
        logs = [process.variance.log_variance(*step, unseen, least=chain.least) for step in steps]
        shares = [Posterior.between(*step).x0 for step in steps]
        variance_B = torch.tensor(logs, dtype=torch.float64).exp()
        return torch.tensor(shares, dtype=torch.float64).square() / (2 * variance_B)  # Ho et al. 2020, eq. 8

"""A Gaussian mixture as data: density, score, denoiser and samples at every noise level, in closed form.

Noised by x_t = alpha·x₀ + sigma·ε, a Gaussian N(m, s²) becomes N(alpha·m, v) with v = alpha²·s² + sigma², so the noised
mixture is a mixture again. Everything is computed in float64 on x's device.
Legend: B batch, C channels, H height, W width, J Gaussians, P = C·H·W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.process import CLEAN, Denoised, Draws, Level


@dataclass(frozen=True)
class Belief:
    """What x_t says of x₀."""

    shares_BJ: Tensor
    """P(Gaussian j | x_t)."""
    x0_BCHW: Tensor
    """E[x₀ | x_t]."""
    variance_BCHW: Tensor
    """Var[x₀ | x_t] of each pixel."""


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Pictures that are normal about one of J means. Classes are 0 … K−1; class K, or no class, is the whole mixture.

    Wherever x is taken, (B, C, H, W), `class_B` gives each row's class as int64 ids.
    """

    means_JCHW: Tensor
    stds_J: Tensor
    """Of every pixel about its mean; above 0."""
    weights_J: Tensor
    """They sum to 1; a class has the share of its Gaussians."""
    classes_J: Tensor
    """The class of each Gaussian."""

    @property
    def classes(self) -> int:
        """K, the number of classes; as an id, the null class."""
        return int(self.classes_J.max()) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.means_JCHW.shape[1:])

    def denoise(self, x_BCHW: Tensor, level: Level, class_B: Tensor | None = None) -> Denoised:
        """The perfect prediction, E[x₀ | x_t] and the ε that belongs to it, in x's dtype. Usable as a Course's."""
        x_t = x_BCHW.double()
        x0 = self.belief(x_t, level.alpha, level.sigma, class_B).x0_BCHW
        eps = (x_t - level.alpha * x0) / level.sigma
        return Denoised(x0_BCHW=x0.to(x_BCHW.dtype), eps_BCHW=eps.to(x_BCHW.dtype))

    def belief(
        self, x_BCHW: Tensor, alpha: Tensor | float, sigma: Tensor | float, class_B: Tensor | None = None
    ) -> Belief:
        """What x_t says of x₀; alpha and sigma are floats, or have a value for each row: (B, 1, 1, 1)."""
        alpha_B1, sigma_B1 = _column(alpha, x_BCHW), _column(sigma, x_BCHW)
        away_BJP, variance_BJ = self._noised(x_BCHW, alpha_B1, sigma_B1)
        shares_BJ = self._log_joint(away_BJP, variance_BJ, class_B).softmax(1)
        square_J = self.stds_J**2
        means_JP = self.means_JCHW.flatten(1)
        means_BJP = means_JP + (alpha_B1 * square_J / variance_BJ)[..., None] * away_BJP  # E[x₀ | x_t, j]
        x0_BP = torch.einsum("bj,bjp->bp", shares_BJ, means_BJP)
        within_B = (shares_BJ * square_J * sigma_B1**2 / variance_BJ).sum(1)
        between_BP = torch.einsum("bj,bjp->bp", shares_BJ, (means_BJP - x0_BP[:, None]).square())
        return Belief(
            shares_BJ=shares_BJ,
            x0_BCHW=x0_BP.view_as(x_BCHW),
            variance_BCHW=(within_B[:, None] + between_BP).view_as(x_BCHW),
        )

    def log_density(self, x_BCHW: Tensor, level: Level, class_B: Tensor | None = None) -> Tensor:
        """log p(x_t | class) in nats, (B,)."""
        alpha_B1, sigma_B1 = _column(level.alpha, x_BCHW), _column(level.sigma, x_BCHW)
        away_BJP, variance_BJ = self._noised(x_BCHW, alpha_B1, sigma_B1)
        joint_BJ = self._log_joint(away_BJP, variance_BJ, class_B)
        return joint_BJ.logsumexp(1) - self._log_weights(class_B, joint_BJ).logsumexp(1)

    def score(self, x_BCHW: Tensor, level: Level, class_B: Tensor | None = None) -> Tensor:
        """∇ log p(x_t | class), (B, C, H, W)."""
        alpha_B1, sigma_B1 = _column(level.alpha, x_BCHW), _column(level.sigma, x_BCHW)
        away_BJP, variance_BJ = self._noised(x_BCHW, alpha_B1, sigma_B1)
        shares_BJ = self._log_joint(away_BJP, variance_BJ, class_B).softmax(1)
        return -torch.einsum("bj,bjp->bp", shares_BJ / variance_BJ, away_BJP).view_as(x_BCHW)

    def sample(self, draws: Draws, class_B: Tensor | None = None) -> Tensor:
        """x₀, (B, C, H, W), row b a function of its key and class."""
        weights_BJ = self._log_weights(class_B, draws.uniform("oracle mode")[:, None]).softmax(1)
        chosen_B = (weights_BJ.cumsum(1) < draws.uniform("oracle mode")[:, None]).sum(1)
        chosen_B = chosen_B.clamp(
            max=len(self.weights_J) - 1
        )  # the sum of all weights may miss 1 by rounding
        noise_BCHW = draws.normal("oracle sample", self.shape, dtype=torch.float64)
        return self.means_JCHW[chosen_B] + self.stds_J[chosen_B].view(-1, 1, 1, 1) * noise_BCHW

    def moments(self, class_id: int | None = None) -> tuple[Tensor, Tensor]:
        """The mean (C, H, W) and the covariance of all pixels with each other (P, P) of a class, or of all."""
        class_B = None if class_id is None else torch.tensor([class_id])
        (weights_J,) = self._log_weights(class_B, self.weights_J[:1]).softmax(1)
        means_JP = self.means_JCHW.flatten(1)
        mean_P = weights_J @ means_JP
        away_JP = means_JP - mean_P
        between_PP = torch.einsum("j,jp,jq->pq", weights_J, away_JP, away_JP)
        within = (weights_J * self.stds_J**2).sum()
        return mean_P.view(self.shape), between_PP + within * torch.eye(len(mean_P), dtype=torch.float64)

    def found_weights(self, x_BCHW: Tensor) -> Tensor:
        """The Gaussians' shares in these clean pictures, (J,): the mean of P(Gaussian j | x₀)."""
        return self.belief(x_BCHW, 1.0, 0.0).shares_BJ.mean(0)

    def entropy(self, draws: Draws) -> tuple[float, float]:
        """−E[log p(x₀)] in nats, from samples, and the standard error of that."""
        surprise_B = -self.log_density(self.sample(draws), CLEAN)
        return surprise_B.mean().item(), surprise_B.std().item() / math.sqrt(len(surprise_B))

    def _noised(self, x_BCHW: Tensor, alpha_B1: Tensor, sigma_B1: Tensor) -> tuple[Tensor, Tensor]:
        """x_t − alpha·m of each Gaussian, and its variance v."""
        away_BJP = x_BCHW.double().flatten(1)[:, None] - alpha_B1[..., None] * self.means_JCHW.flatten(1)
        return away_BJP, alpha_B1**2 * self.stds_J**2 + sigma_B1**2

    def _log_joint(self, away_BJP: Tensor, variance_BJ: Tensor, class_B: Tensor | None) -> Tensor:
        """log(w_j · N(x_t; alpha·m_j, v_j)), (B, J); −∞ for the Gaussians of other classes."""
        pixels = away_BJP.shape[-1]
        distance_BJ = away_BJP.square().sum(2) / variance_BJ
        log_normal_BJ = -(distance_BJ + pixels * (2 * math.pi * variance_BJ).log()) / 2
        return log_normal_BJ + self._log_weights(class_B, log_normal_BJ)

    def _log_weights(self, class_B: Tensor | None, rows_B_: Tensor) -> Tensor:
        """log w_j, (B, J) for as many rows; −∞ for the Gaussians of other classes."""
        log_weights_BJ = self.weights_J.log().expand(len(rows_B_), -1)
        if class_B is None:
            return log_weights_BJ
        known = (class_B[:, None] == self.classes_J) | (class_B[:, None] == self.classes)
        return log_weights_BJ.masked_fill(~known, -torch.inf)


def _column(value: Tensor | float, x_BCHW: Tensor) -> Tensor:
    """A value for each row, (B, 1) or (1, 1), float64."""
    return torch.as_tensor(value, dtype=torch.float64, device=x_BCHW.device).reshape(-1, 1)

"""What a network may predict, and the conversion of it to x₀ and ε.

Only arithmetic, so no torch import. Legend: alpha, sigma are floats or broadcast against the pictures, x_t =
alpha·x₀ + sigma·ε.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Plain:
    """A prediction of a network that sees x_t as it is."""

    def scale_in(self, alpha: Tensor | float, sigma: Tensor | float) -> float:
        """1."""
        return 1.0


class Epsilon(Plain):
    """The network outputs ε, the noise in x_t (Ho et al. 2020, eq. 12). Undefined x₀ where alpha is 0."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: ε."""
        return eps

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε."""
        return (x_t - sigma * output) / alpha, output  # Ho et al. 2020, eq. 15

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """alpha/sigma."""
        return alpha / sigma


class X0(Plain):
    """The network outputs x₀, the clean picture."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: x₀."""
        return x0

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε."""
        return output, (x_t - alpha * output) / sigma

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> float:
        """1."""
        return 1.0


class V(Plain):
    """The network outputs v = alpha·ε − sigma·x₀ (Salimans & Ho 2022, section 4)."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: v."""
        return alpha * eps - sigma * x0

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε: x_t and v turned back by the angle atan(sigma/alpha).

        The divisor is 1 in the paper, whose schedules preserve the variance; with it the inversion is exact
        for all.
        """
        power = alpha * alpha + sigma * sigma
        return (alpha * x_t - sigma * output) / power, (sigma * x_t + alpha * output) / power

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """(alpha² + sigma²)/sigma."""
        return (alpha * alpha + sigma * sigma) / sigma


class Score(Plain):
    """The network outputs ∇ log p(x_t) = −ε/sigma (Song et al. 2021, eq. 7). Undefined x₀ where alpha is 0."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: the score of q(x_t | x₀)."""
        return -eps / sigma

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀, by Tweedie's formula, and ε."""
        return (x_t + sigma * sigma * output) / alpha, -sigma * output

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """alpha/sigma²."""
        return alpha / (sigma * sigma)


class FlowVelocity(Plain):
    """The network outputs ε − x₀, dx/dt of a straight flow (Liu et al. 2022, eq. 1, whose time runs backwards)."""

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: ε − x₀."""
        return eps - x0

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε. The divisor is 1 in a flow; with it the inversion is exact for all."""
        whole = alpha + sigma
        return (x_t - sigma * output) / whole, (x_t + alpha * output) / whole

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """(alpha + sigma)/sigma."""
        return (alpha + sigma) / sigma


class Preconditioned:
    """The network outputs F of x₀ = c_skip·x + c_out·F(c_in·x), x = x₀ + σ·ε (Karras et al. 2022, eq. 7, table 1).

    There σ = sigma/alpha and x = x_t/alpha. Written in x_t no quotient of alpha is left, so that it holds for any alpha
    and sigma, and at pure noise. With sigma_data = 1 it is −v where the variance is preserved.
    """

    def __init__(self, *, sigma_data: float = 0.5) -> None:
        self.sigma_data = sigma_data

    def scale_in(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """1/√(alpha²·sigma_data² + sigma²), which brings x_t to variance 1: c_in for alpha = 1."""
        return self._power(alpha, sigma) ** -0.5

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """What a perfect network outputs: (x₀ − c_skip·x)/c_out, of variance 1 for data of variance sigma_data²."""
        x_t, power = alpha * x0 + sigma * eps, self._power(alpha, sigma)
        return (x0 - alpha * self.sigma_data**2 / power * x_t) * self.gain(alpha, sigma)

    def x0_eps(
        self, output: Tensor, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """The predicted x₀ and ε."""
        power = self._power(alpha, sigma)
        reach = self.sigma_data / power**0.5
        x0 = alpha * self.sigma_data**2 / power * x_t + sigma * reach * output
        return x0, sigma / power * x_t - alpha * reach * output

    def gain(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """alpha/c_out = √(alpha²·sigma_data² + sigma²)/(sigma·sigma_data)."""
        return self._power(alpha, sigma) ** 0.5 / (sigma * self.sigma_data)

    def _power(self, alpha: Tensor | float, sigma: Tensor | float) -> Tensor | float:
        """The variance of x_t."""
        return (alpha * self.sigma_data) ** 2 + sigma * sigma

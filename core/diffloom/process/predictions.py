"""What the network predicts, and its conversion to x₀ and ε.

Only arithmetic, so no torch import. Legend: alpha, sigma are floats or broadcast against the pictures, x_t =
alpha·x₀ + sigma·ε.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds import Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from diffloom.kinds import NoiseSchedule


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


class EpsilonPrediction(Prediction):
    """The noise ε (Ho et al. 2020)."""

    name = "epsilon"
    needs_signal: ClassVar[bool] = True

    def build(self, *, schedule: NoiseSchedule) -> Epsilon:
        """The conversion."""
        return Epsilon()


class X0Prediction(Prediction):
    """The clean picture x₀."""

    name = "x0"

    def build(self, *, schedule: NoiseSchedule) -> X0:
        """The conversion."""
        return X0()


class VPrediction(Prediction):
    """The velocity v = alpha·ε − sigma·x₀ (Salimans & Ho 2022)."""

    name = "v"

    def build(self, *, schedule: NoiseSchedule) -> V:
        """The conversion."""
        return V()

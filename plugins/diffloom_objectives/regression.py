"""Losses of the prediction against its target. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from diffloom.kinds import Weigh
from diffloom.process import Draws, Process
from diffloom_objectives.loss import NoisedLoss, split_output
from diffloom_objectives.noising import Noised, Noising

Penalty: TypeAlias = Callable[[Tensor], Tensor]
"""Differences → what each element costs."""


def squared(difference: Tensor) -> Tensor:
    """d²."""
    return difference.square()


@dataclass(frozen=True)
class Power:
    """|d|^p."""

    p: float

    def __call__(self, difference: Tensor) -> Tensor:
        """The cost of each element."""
        return difference.abs() ** self.p


@dataclass(frozen=True)
class PseudoHuber:
    """2δ·(√(d² + δ²) − δ): d² where d is small beside δ, 2δ·|d| where it is large."""

    delta: float

    def __call__(self, difference: Tensor) -> Tensor:
        """The cost of each element, written without the cancellation of the difference."""
        square = difference.square()
        return 2 * self.delta * square / ((square + self.delta**2).sqrt() + self.delta)


class Regression(NoisedLoss):
    """The mean cost of the network's error against its prediction's target, weighted by level."""

    def __init__(
        self, penalty: Penalty, noising: Noising, *, weigh: Weigh, self_conditioning: bool = False
    ) -> None:
        super().__init__(noising, self_conditioning=self_conditioning)
        self.penalty = penalty
        self.weigh = weigh

    def compare(self, output_BCHW: Tensor, noised: Noised, *, process: Process, draws: Draws) -> Tensor:
        """The weighted loss of each example. A variance output is a ValueError: it would stay untrained."""
        prediction_BCHW, variance_BCHW = split_output(output_BCHW, noised)
        if variance_BCHW is not None:
            raise ValueError(
                "a loss of the prediction alone does not train a learned variance: turn learn_variance off, or "
                "take hybrid or variational_bound"
            )
        return weighted_error(self.penalty, self.weigh, prediction_BCHW, noised, process)


def weighted_error(
    penalty: Penalty, weigh: Weigh, prediction_BCHW: Tensor, noised: Noised, process: Process
) -> Tensor:
    """The weighted mean cost of each example's error, (B,) (Ho et al. 2020, eq. 14, for any prediction)."""
    target_BCHW = process.prediction.target(
        noised.x0_BCHW, noised.eps_BCHW, noised.alpha_B111, noised.sigma_B111
    )
    error_B = penalty(prediction_BCHW - target_BCHW).flatten(1).mean(1)
    return weigh(error_B, noised.t_B, process=process)

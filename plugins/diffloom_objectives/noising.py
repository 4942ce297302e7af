"""What a loss asks the network about, drawn alike for all. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from diffloom.kinds import Pair, Times
from diffloom.process import Draws, Process, alpha_sigma, noised

Network: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x_BCHW, t_B) → the backbone's output, with its condition filled in."""


@dataclass(frozen=True)
class Noised:
    """A batch of examples at times of their own."""

    x0_BCHW: Tensor
    eps_BCHW: Tensor
    """The noise that is to be told from x_t."""
    x_t_BCHW: Tensor
    t_B: Tensor
    """float64, on the CPU."""
    factor_B: Tensor
    """What makes the loss an unbiased estimate of its mean over the schedule, in x₀'s dtype."""
    alpha_B111: Tensor
    sigma_B111: Tensor


class Noising(nn.Module):
    """Draws times and noise, keyed by example.

    `offset_noise` adds noise of this standard deviation that is the same for all pixels of a channel (Guttenberg
    2023). `input_perturbation` adds noise to x_t that the network is not asked for, γ·sigma of it (Ning et al. 2023,
    algorithm 1).
    """

    def __init__(
        self, *, times: Times, pair: Pair, offset_noise: float = 0.0, input_perturbation: float = 0.0
    ) -> None:
        super().__init__()
        self.times = times
        self.pair = pair
        self.offset_noise = offset_noise
        self.input_perturbation = input_perturbation

    def forward(self, x0_BCHW: Tensor, *, process: Process, draws: Draws) -> Noised:
        """Examples made noisy, each at its time."""

        def normal(purpose: str, shape: tuple[int, ...]) -> Tensor:
            return draws.normal(purpose, shape, dtype=x0_BCHW.dtype, device=x0_BCHW.device)

        shape_CHW = tuple(x0_BCHW.shape[1:])
        t_B, factor_B = self.times(draws, schedule=process.schedule)
        eps_BCHW = self.pair(x0_BCHW, normal("noise", shape_CHW))
        if self.offset_noise:
            offset_BC11 = normal("offset noise", (shape_CHW[0], *[1] * len(shape_CHW[1:])))
            eps_BCHW = eps_BCHW + self.offset_noise * offset_BC11
        shown_BCHW = eps_BCHW
        if self.input_perturbation:
            shown_BCHW = eps_BCHW + self.input_perturbation * normal("input perturbation", shape_CHW)
        alpha_B111, sigma_B111 = alpha_sigma(process.schedule, t_B, x0_BCHW)
        return Noised(
            x0_BCHW=x0_BCHW,
            eps_BCHW=eps_BCHW,
            x_t_BCHW=noised(x0_BCHW, shown_BCHW, alpha_B111, sigma_B111),
            t_B=t_B,
            factor_B=factor_B.to(x0_BCHW),
            alpha_B111=alpha_B111,
            sigma_B111=sigma_B111,
        )


def answer(
    network: Network, noised: Noised, *, process: Process, draws: Draws, self_conditioning: bool
) -> Tensor:
    """The network's output for x_t, in x₀'s dtype: autocast may have made it half precision.

    With `self_conditioning` it is asked twice: beside zeros, and then, in the half of the examples that a draw names,
    beside what it said of x₀, which gets no gradient (Chen et al. 2022, algorithm 1).
    """
    x0_BCHW = noised.x0_BCHW
    scale = process.prediction.scale_in(noised.alpha_B111, noised.sigma_B111)
    seen_BCHW = scale * noised.x_t_BCHW
    t_B = noised.t_B.to(x0_BCHW.device).float()
    if self_conditioning:
        shown_BCHW = torch.zeros_like(x0_BCHW)
        with torch.no_grad():
            first_BCHW = network(torch.cat([seen_BCHW, shown_BCHW], 1), t_B).to(x0_BCHW.dtype)
            estimate_BCHW, _ = process.prediction.x0_eps(
                first_BCHW[:, : x0_BCHW.shape[1]], noised.x_t_BCHW, noised.alpha_B111, noised.sigma_B111
            )
        is_shown_B = (draws.uniform("self-conditioning") < 0.5).to(x0_BCHW.device)
        shown_BCHW[is_shown_B] = estimate_BCHW[is_shown_B]
        seen_BCHW = torch.cat([seen_BCHW, shown_BCHW], 1)
    return network(seen_BCHW, t_B).to(x0_BCHW.dtype)

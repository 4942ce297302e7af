"""All terms of the variational bound along a chain of levels, for data to be judged by.

Legend: B batch, C channels, H height, W width, S steps of the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from diffloom.kinds import ReverseVariance
from diffloom.process.bound import prior_bits, step_bits
from diffloom.process.denoised import Denoised
from diffloom.process.forward import Posterior, noised
from diffloom.process.noise import Draws
from diffloom.process.types import Level


@dataclass(frozen=True)
class BitsPerDimension:
    """An estimate of the bound on −log₂ p(x₀) of each example, divided by C·H·W, and what it is the sum of."""

    prior_B: Tensor
    """L_T: how far the noisiest level is from pure noise."""
    terms_BS: Tensor
    """L_{T−1} … L_0, one for each step, in the order of the walk: the last is the decoder's."""
    x0_error_BS: Tensor
    """Mean squared error of the predicted x₀ at the beginning of each step."""
    eps_error_BS: Tensor
    """The same of the predicted ε."""

    @property
    def total(self) -> Tensor:
        """The bound, (B,)."""
        return self.prior_B + self.terms_BS.sum(1)


@torch.no_grad()
def bits_per_dimension(
    x0_BCHW: Tensor,
    chain: Sequence[Level],
    *,
    denoise: Callable[[Tensor, Level], Denoised],
    variance: ReverseVariance,
    prior_std: float,
    draws: Draws,
    least: float | None = None,
    bins: int | None = 256,
) -> BitsPerDimension:
    """The bound of the walk down `chain`, whose levels fall and end clean, with one draw of x_t for each level.

    All the levels of training give L_vlb of Ho et al. 2020, eq. 5; some of them, or those of a continuous schedule, a
    bound too, of the model that walks down these. `denoise` must look at x_t alone: one that remembers what it saw at
    another level knows more of x₀ than the walk does. `least` is the variance that a fixed one has in the last
    step, into the clean level; None takes β̃ of the step before, as Ho et al. do. `bins` is how many values a pixel has
    (None: a density, of x₀ that is not quantised).

    Raises ValueError for a chain that is too short or does not end clean.
    """
    if len(chain) < 3 or not chain[-1].is_clean:
        raise ValueError("the bound needs a chain of two noisy levels at least, and the clean one at its end")
    second, first = chain[-3:-1]
    least = Posterior.between(second, first).variance if least is None else least
    terms, x0_errors, eps_errors = [], [], []
    for index, (level, following) in enumerate(pairwise(chain)):
        eps_BCHW = draws.at(index).normal(
            "noise", tuple(x0_BCHW.shape[1:]), dtype=x0_BCHW.dtype, device=x0_BCHW.device
        )
        denoised = denoise(noised(x0_BCHW, eps_BCHW, level.alpha, level.sigma), level)
        steps = [(level, following)] * len(x0_BCHW)
        terms.append(step_bits(x0_BCHW, denoised, steps, variance=variance, least=least, bins=bins))
        x0_errors.append((denoised.x0_BCHW - x0_BCHW).square().flatten(1).mean(1))
        eps_errors.append((denoised.eps_BCHW - eps_BCHW).square().flatten(1).mean(1))
    noisiest = chain[0]
    return BitsPerDimension(
        prior_B=prior_bits(x0_BCHW, alpha=noisiest.alpha, sigma=noisiest.sigma, prior_std=prior_std),
        terms_BS=torch.stack(terms, 1),
        x0_error_BS=torch.stack(x0_errors, 1),
        eps_error_BS=torch.stack(eps_errors, 1),
    )

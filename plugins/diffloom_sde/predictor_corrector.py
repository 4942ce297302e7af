"""Predictor-corrector sampling. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from diffloom.process import Course, Denoised, Level, Move, Posterior, Stepper, summed
from diffloom_sde.ancestral import drawn
from diffloom_sde.own_walks import PURE_START

Predictor = Literal["ancestral", "reverse_diffusion"]


class PredictorCorrector(Stepper):
    """Langevin steps at each level, then a step to the next (Song et al. 2021, algorithms 2 to 5).

    The predictor `ancestral` draws from the posterior as DDPM does, with the model's own variance: fixed_small gives
    the paper's for exploding variance (eq. 47), fixed_large its for preserved (eq. 4). `reverse_diffusion` discretises
    the reverse SDE as the forward one is discretised (eq. 46). Into the clean level both go to x₀, without noise. Each
    sample has Langevin steps of its own size; the authors' code and diffusers take the mean over the batch.
    """

    def __init__(
        self, *, predictor: Predictor = "ancestral", corrector_steps: int = 1, snr: float = 0.16
    ) -> None:
        """`snr` is the paper's r: how large the step along the score is, against its noise."""
        self.predictor = predictor
        self.corrector_steps = corrector_steps
        self.snr = snr

    def begin(self, course: Course) -> Move:
        """The step. Raises ValueError where it begins without signal and is not ancestral."""
        if self.predictor == "reverse_diffusion" and course.levels[0].alpha == 0:
            raise ValueError(PURE_START)
        strides = tuple(pairwise(course.levels))

        def move(x_BCHW: Tensor, index: int) -> tuple[Denoised, Tensor]:
            level, next_level = strides[index]
            denoised = said = course.denoise(x_BCHW, level)
            for draw in range(1, self.corrector_steps + 1):
                x_BCHW = self._langevin(x_BCHW, denoised, level, next_level, course.noise(index, draw))
                denoised = course.denoise(x_BCHW, level)
            if next_level.is_clean or self.predictor == "ancestral":
                return said, drawn(
                    x_BCHW, denoised, level=level, next_level=next_level, course=course, index=index
                )
            beta, kept = Posterior.between(level, next_level).beta, level.alpha / next_level.alpha
            # eq. 46, its score −ε/sigma, and alpha·x₀ + sigma·ε its x
            way = denoised.terms(
                x0=(2 - kept) * level.alpha, eps=(2 - kept) * level.sigma - beta / level.sigma
            )
            return said, summed((*way, (math.sqrt(beta), course.noise(index))))

        return move

    def _langevin(
        self, x_BCHW: Tensor, denoised: Denoised, level: Level, next_level: Level, noise_BCHW: Tensor
    ) -> Tensor:
        """Algorithms 4 and 5, lines 5 to 8: size e = 2·kept²·(r·‖z‖/‖score‖)², kept² their α of the stride."""
        kept = level.alpha / next_level.alpha
        lengths_B = _norms(noise_BCHW) / _norms(denoised.eps_BCHW)
        root_B = math.sqrt(2) * kept * self.snr * level.sigma * lengths_B  # √e
        root_B111 = root_B.view(-1, *[1] * (x_BCHW.dim() - 1))
        along = torch.addcmul(x_BCHW, root_B111**2, denoised.eps_BCHW, value=-1 / level.sigma)
        return torch.addcmul(along, root_B111, noise_BCHW, value=math.sqrt(2))


def _norms(x_BCHW: Tensor) -> Tensor:
    norms_B: Tensor = torch.linalg.vector_norm(x_BCHW.flatten(1), dim=1)
    return norms_B

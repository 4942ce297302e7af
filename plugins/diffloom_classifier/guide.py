"""Guidance by a classifier. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.process import Aims, Denoised, Level, Model, Strength

LogProbability: TypeAlias = Callable[[Tensor, Level, Condition], Tensor]
"""(x_BCHW, level, condition) → log p(y | x) of each noisy picture (B,), differentiable in x; y is what the condition
asks for, or what the function itself stands for."""


class ClassifierGuide:
    """Up the gradient of a classifier of noisy pictures: p(x)·p(y | x)^(scale − 1) (Dhariwal & Nichol 2021).

    For use from Python, as `sample(guidance=ClassifierGuide(log_probability=..., strength=Strength(scale=...)))`: any
    function that can be differentiated will do. As for every guidance 1 is the plain model, which may be conditional
    itself: the paper's scale is this one less 1.

    Every sampler follows ε − sigma·(scale − 1)·∇ log p(y | x_t) (algorithm 2). A sampler that draws x_s from a mean μ
    reads `Denoised.tilt` instead, and takes μ + Σ·(scale − 1)·∇ log p(y | x_s) at x_s = μ (algorithm 1 as it is
    derived, in section 4.1). OpenAI's code takes that gradient at x_t, and lucidrains' did. Where no signal is left
    (alpha = 0) x_t says nothing of y, and nothing is added.
    """

    def __init__(self, *, log_probability: LogProbability, strength: Strength) -> None:
        self.log_probability = log_probability
        self.strength = strength

    def __call__(self, aims: Aims, model: Model) -> tuple[ClassifierPull]:
        """The guidance of one walk: each call of the network is followed by one of the classifier, there and back."""
        return (ClassifierPull(self.log_probability, self.strength, aims, model),)


class ClassifierPull:
    """Towards where the classifier sees what is asked for; no view of the model is needed."""

    views = ()

    def __init__(self, log_probability: LogProbability, strength: Strength, aims: Aims, model: Model) -> None:
        self.log_probability = log_probability
        self.strength = strength
        self.axis = model.schedule.axis
        self.condition = aims.condition

    def active(self, level: Level) -> bool:
        """In the interval, where there is any signal, unless the scale is 1."""
        return level.alpha > 0 and self.strength.within(level) and not self.strength.neutral

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """sigma²/alpha·gradient: ε is lower by sigma·gradient (algorithm 2), and x₀ = (x_t − sigma·ε)/alpha."""
        return level.sigma**2 / level.alpha * self.gradient(x_t_BCHW, level)

    def gradient(self, x_BCHW: Tensor, level: Level) -> Tensor:
        """(scale − 1) · ∇ log p(y | x), with the profile at this level."""
        with torch.enable_grad():
            x_BCHW = x_BCHW.detach().requires_grad_()
            log_B = self.log_probability(x_BCHW, level, self.condition)
            (gradient_BCHW,) = torch.autograd.grad(log_B.sum(), x_BCHW)
        return self.strength.excess(level, self.axis, x_BCHW) * gradient_BCHW

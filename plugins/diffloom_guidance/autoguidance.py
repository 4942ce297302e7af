"""Guidance by a weaker network. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.process import Aims, Denoised, Level, Model, Strength, View, denoiser, under
from diffloom_guidance.likeness import same_schedule, same_space, without_dropout


class AutoGuide:
    """Away from a weaker model of the same data: D₀ + scale·(D₁ − D₀) (Karras et al. 2024).

    `weaker` is given the conditions that are asked for, through its own conditioners; those that it does not have are
    left out, and a weaker model without any is classifier-free guidance by two networks. It may predict something else
    than the model does, and diffuses in the same space by the same schedule.
    """

    def __init__(self, *, weaker: Pipeline, strength: Strength) -> None:
        self.weaker = weaker
        self.strength = strength

    def __call__(self, aims: Aims, model: Model) -> tuple[AutoPull]:
        """The guidance of one walk: each call of the network is followed by one of the weaker.

        Raises ValueError for a weaker model of another space, schedule or meaning of the conditions.
        """
        weaker = self.weaker
        if not same_space(weaker, model):
            raise ValueError(
                "autoguidance: the weaker model diffuses in another space than the model it guides"
            )
        if not same_schedule(weaker.schedule, model.schedule):
            raise ValueError(
                "autoguidance: the weaker model has another noise schedule than the model it guides"
            )
        for name, conditioner in weaker.document.conditioners.items():
            if without_dropout(model.conditioners.get(name)) != without_dropout(conditioner):
                raise ValueError(
                    f"autoguidance: the weaker model is told {name!r} by a conditioner that the model does not have"
                )
        place = next((p.device for p in model.backbone.parameters()), torch.device("cpu"))
        if weaker.device != place:  # a move costs what was made ready before
            weaker.to(place)
        condition = weaker.condition({name: aims.raw[name] for name in weaker.document.conditioners})
        return (AutoPull(self.strength, View(aims.condition, self._under(condition, model)), model),)

    def _under(self, condition: Condition, model: Model) -> Callable[[Tensor, Level], Denoised]:
        """The weaker model's denoiser under one condition, ready for the walk as the model's own is."""
        weaker, document = self.weaker, self.weaker.document
        asked = {"precision": model.precision, "compile": model.compiles, "caching": None}
        ready = weaker.ready(document.sampling.model_copy(update=asked))
        plain = denoiser(ready, weaker.prediction, learned_variance=document.variance.learned)
        known = under(
            torch.no_grad()(plain),
            lambda condition: ready.prepare(condition, model.times),
            self_conditioning=document.backbone.self_conditioning,
        )
        return known(condition)


class AutoPull:
    """Away from the weaker model's prediction."""

    def __init__(self, strength: Strength, view: View, model: Model) -> None:
        self.strength = strength
        self.axis = model.schedule.axis
        self.views = (view,)

    def active(self, level: Level) -> bool:
        """In the interval, unless the scale is 1."""
        return self.strength.within(level) and not self.strength.neutral

    def weights(self, level: Level, like_BCHW: Tensor) -> list[Tensor | float]:
        """−(scale − 1), of D₀, where the weaker model predicts what the model does."""
        return [-self.strength.excess(level, self.axis, like_BCHW)]

    def shift(self, x_t_BCHW: Tensor, level: Level, plain: Denoised, seen: Sequence[Denoised]) -> Tensor:
        """(scale − 1)·(D₁ − D₀)."""
        (weak,) = seen
        return self.strength.excess(level, self.axis, plain.x0_BCHW) * (plain.x0_BCHW - weak.x0_BCHW)

"""The configurations of torch's optimisers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from diffloom.kinds import Optimizer, ParameterGroup

if TYPE_CHECKING:
    import torch

Momentum = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), in torch's fused form."""

    name = "adamw"
    equation = "w ← (1 − lr·{weight_decay})·w − lr·m̂/(√v̂ + {eps}), m and v the means of g and g² by {betas}"

    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    """Momenta of the gradient and of its square."""
    eps: NonNegativeFloat = 1e-8
    """Added to the root of the squares' mean."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(self.described(groups), lr=lr, betas=self.betas, eps=self.eps, fused=True)

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[AdamW]:
        return cls(), cls(betas=(0.5, 0.9), eps=1e-6, weight_decay=0.1)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and decoupled weight decay (Loshchilov & Hutter 2019, SGDW)."""

    name = "sgd"
    equation = "w ← (1 − lr·{weight_decay})·w − lr·m with m ← {momentum}·m + g"

    momentum: Momentum = 0.9
    """What stays of the momentum at each optimiser step; 0 has none."""
    nesterov: bool = False
    """Look ahead along the momentum (Nesterov)."""

    @model_validator(mode="after")
    def _has_momentum(self) -> SGD:
        if self.nesterov and not self.momentum:
            raise ValueError(
                "nesterov looks ahead along the momentum, which is 0; set momentum, or nesterov: false"
            )
        return self

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        from diffloom_optimization.decoupled_sgd import DecoupledSGD

        return DecoupledSGD(self.described(groups), lr=lr, momentum=self.momentum, nesterov=self.nesterov)

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[SGD]:
        return cls(), cls(momentum=0.0), cls(nesterov=True, weight_decay=0.1)


class Adafactor(Optimizer):
    """Adam without momentum, its squares kept by rows and columns (Shazeer & Stern 2018): a small state.

    `train.lr` is relative: a step is that share of the weights' own size, 0.01 in the paper, and after step t at most
    1/√t.
    """

    name = "adafactor"
    equation = (
        "w ← (1 − lr·{weight_decay})·w − min(lr, 1/√t)·RMS(w)·u, u = g/√v̂ with an RMS of at most {clip}"
    )
    shardable = False

    decay_power: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The squares' mean keeps 1 − t^(−this) of itself at step t."""
    clip: PositiveFloat = 1.0
    """Largest root mean square of a weight's update, before it is scaled."""
    smallest_scale: PositiveFloat = 1e-3
    """Weights smaller than this move as if they had this size."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adafactor(
            self.described(groups),
            lr=lr,
            beta2_decay=-self.decay_power,
            eps=(None, self.smallest_scale),
            d=self.clip,
        )

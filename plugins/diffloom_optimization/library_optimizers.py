"""The configurations of optimisers that other libraries bring."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from diffloom.kinds import Optimizer, ParameterGroup
from diffloom_optimization.libraries import library

if TYPE_CHECKING:
    import torch

Momentum = Annotated[float, Field(ge=0, lt=1)]
EXTRA = "pip install 'diffloom[optimizers]'"


class Lion(Optimizer):
    """Follows the signs of a momentum, with decoupled weight decay (Chen et al. 2023).

    Half of Adam's state, and a learning rate 3 to 10 times smaller. From the library pytorch_optimizer, in the extra
    `optimizers`.
    """

    name = "lion"
    equation = "w ← (1 − lr·{weight_decay})·w − lr·sign(m mixed with g), m the mean of g, by {betas}"

    betas: tuple[Momentum, Momentum] = (0.9, 0.99)
    """How much of the momentum is in the step, and what stays of it."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        optimizers = library("pytorch_optimizer", place="train.optimizer", install=EXTRA)
        built: torch.optim.Optimizer = optimizers.Lion(self.described(groups), lr=lr, betas=self.betas)
        return built


class Prodigy(Optimizer):
    """Adam that finds its own learning rate (Mishchenko & Defazio 2023): set `train.lr: 1`.

    It measures how far the weights have come from where they began, which it therefore keeps. From the library
    pytorch_optimizer, in the extra `optimizers`.
    """

    name = "prodigy"
    equation = (
        "AdamW with the learning rate d·lr, d an estimate of the way from the first weights to the best"
    )
    shardable = False

    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    """Momenta of the gradient and of its square."""
    eps: NonNegativeFloat = 1e-8
    """Added to the root of the squares' mean, times the estimate."""
    d0: PositiveFloat = 1e-6
    """The estimate at first."""
    d_factor: PositiveFloat = 1.0
    """What the estimate is multiplied by: the way to a smaller or larger step."""
    bias_correction: bool = True
    """Adam's own, for the means' first steps."""
    safeguard_warmup: bool = True
    """Keep the schedule's warm-up out of the estimate; changes nothing where there is none."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        optimizers = library("pytorch_optimizer", place="train.optimizer", install=EXTRA)
        built: torch.optim.Optimizer = optimizers.Prodigy(
            self.described(groups),
            lr=lr,
            betas=self.betas,
            eps=self.eps,
            d0=self.d0,
            d_coef=self.d_factor,
            bias_correction=self.bias_correction,
            safeguard_warmup=self.safeguard_warmup,
        )
        return built

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Prodigy]:
        """With a first estimate whose steps float32 can tell from none."""
        return cls(d0=1e-2), cls(d0=1e-2, bias_correction=False, d_factor=0.5)


class AdamW8bit(Optimizer):
    """AdamW with a state of one byte a number (Dettmers et al. 2022), a quarter of the memory.

    From the library bitsandbytes, made for GPUs. Weights of fewer than `smallest_size` numbers keep a state of 32 bits.
    """

    name = "adamw_8bit"
    equation = "w ← (1 − lr·{weight_decay})·w − lr·m̂/(√v̂ + {eps}), m and v the means of g and g² by {betas}"
    shardable = False

    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    """Momenta of the gradient and of its square."""
    eps: NonNegativeFloat = 1e-8
    """Added to the root of the squares' mean."""
    smallest_size: Annotated[int, Field(ge=0)] = 4096
    """Numbers that a weight must have for a state of 8 bits."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        bitsandbytes = library("bitsandbytes", place="train.optimizer", install="pip install bitsandbytes")
        built: torch.optim.Optimizer = bitsandbytes.optim.AdamW8bit(
            self.described(groups),
            lr=lr,
            betas=self.betas,
            eps=self.eps,
            min_8bit_size=self.smallest_size,
        )
        return built

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[AdamW8bit]:
        """None where the library is missing: there is nothing to examine."""
        return (cls(), cls(smallest_size=0)) if importlib.util.find_spec("bitsandbytes") else ()

"""How weights learn: optimisers, learning-rate schedules, averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_optimization.averages import Exponential, HalfLife, Power
from diffloom_optimization.library_optimizers import AdamW8bit, Lion, Prodigy
from diffloom_optimization.lr_schedules import Constant, Cosine, InverseSqrt, Linear, Steps, Trapezoid
from diffloom_optimization.optimizers import SGD, Adafactor, AdamW

if TYPE_CHECKING:
    from diffloom_optimization.decoupled_sgd import DecoupledSGD

__all__ = [
    "SGD",
    "Adafactor",
    "AdamW",
    "AdamW8bit",
    "Constant",
    "Cosine",
    "DecoupledSGD",
    "Exponential",
    "HalfLife",
    "InverseSqrt",
    "Linear",
    "Lion",
    "Power",
    "Prodigy",
    "Steps",
    "Trapezoid",
]

__getattr__, *_ = lazy_loader.attach(__name__, submod_attrs={"decoupled_sgd": ["DecoupledSGD"]})


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register optimisers, learning-rate schedules and averages."""
    for optimizer in (AdamW, SGD, Adafactor, Lion, Prodigy, AdamW8bit):
        registrar.add(optimizer)
    for schedule in (Constant, Linear, Cosine, InverseSqrt, Steps, Trapezoid):
        registrar.add(schedule)
    for average in (Exponential, HalfLife, Power):
        registrar.add(average)

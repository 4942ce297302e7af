"""How weights learn: optimisers, learning-rate schedules, averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_optimization.averages import Exponential, HalfLife, Power
    from diffloom_optimization.decoupled_sgd import DecoupledSGD
    from diffloom_optimization.library_optimizers import AdamW8bit, Lion, Prodigy
    from diffloom_optimization.lr_schedules import Constant, Cosine, InverseSqrt, Linear, Steps, Trapezoid
    from diffloom_optimization.optimizers import SGD, Adafactor, AdamW

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

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "averages": ["Exponential", "HalfLife", "Power"],
        "decoupled_sgd": ["DecoupledSGD"],
        "library_optimizers": ["AdamW8bit", "Lion", "Prodigy"],
        "lr_schedules": ["Constant", "Cosine", "InverseSqrt", "Linear", "Steps", "Trapezoid"],
        "optimizers": ["Adafactor", "AdamW", "SGD"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register optimisers, learning-rate schedules and averages."""
    registrar.add_lazily(
        "optimizer",
        adamw="diffloom_optimization.optimizers:AdamW",
        sgd="diffloom_optimization.optimizers:SGD",
        adafactor="diffloom_optimization.optimizers:Adafactor",
        lion="diffloom_optimization.library_optimizers:Lion",
        prodigy="diffloom_optimization.library_optimizers:Prodigy",
        adamw_8bit="diffloom_optimization.library_optimizers:AdamW8bit",
    )
    registrar.add_lazily(
        "lr_schedule",
        constant="diffloom_optimization.lr_schedules:Constant",
        linear="diffloom_optimization.lr_schedules:Linear",
        cosine="diffloom_optimization.lr_schedules:Cosine",
        inverse_sqrt="diffloom_optimization.lr_schedules:InverseSqrt",
        step="diffloom_optimization.lr_schedules:Steps",
        trapezoid="diffloom_optimization.lr_schedules:Trapezoid",
    )
    registrar.add_lazily(
        "ema",
        exponential="diffloom_optimization.averages:Exponential",
        half_life="diffloom_optimization.averages:HalfLife",
        power="diffloom_optimization.averages:Power",
    )

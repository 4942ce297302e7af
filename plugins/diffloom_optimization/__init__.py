"""How weights learn: optimisers, learning-rate schedules, averages."""

from diffloom import Registrar, hookimpl
from diffloom_optimization.averages import Exponential
from diffloom_optimization.lr_schedules import Constant
from diffloom_optimization.optimizers import AdamW

__all__ = ["AdamW", "Constant", "Exponential"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register optimisers, learning-rate schedules and averages."""
    registrar.add(AdamW)
    registrar.add(Constant)
    registrar.add(Exponential)

"""Trackers: programs that follow a run."""

from diffloom import Registrar, hookimpl
from diffloom_trackers.tensorboard import TensorBoard

__all__ = ["TensorBoard"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the trackers."""
    registrar.add(TensorBoard)

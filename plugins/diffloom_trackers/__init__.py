"""Trackers: programs that follow a run."""

from diffloom import Registrar, hookimpl
from diffloom_trackers.mlflow import MLflow
from diffloom_trackers.tensorboard import TensorBoard
from diffloom_trackers.wandb import WeightsAndBiases

__all__ = ["MLflow", "TensorBoard", "WeightsAndBiases"]


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the trackers."""
    registrar.add(TensorBoard)
    registrar.add(WeightsAndBiases)
    registrar.add(MLflow)

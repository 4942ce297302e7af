"""Trackers: programs that follow a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_trackers.mlflow import MLflow
    from diffloom_trackers.tensorboard import TensorBoard
    from diffloom_trackers.wandb import WeightsAndBiases

__all__ = ["MLflow", "TensorBoard", "WeightsAndBiases"]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "mlflow": ["MLflow"],
        "tensorboard": ["TensorBoard"],
        "wandb": ["WeightsAndBiases"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the trackers."""
    registrar.add_lazily(
        "tracker",
        tensorboard="diffloom_trackers.tensorboard:TensorBoard",
        wandb="diffloom_trackers.wandb:WeightsAndBiases",
        mlflow="diffloom_trackers.mlflow:MLflow",
    )

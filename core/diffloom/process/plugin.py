"""Core's own components, through the same door as everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.hooks import hookimpl
from diffloom.process.predictions import EpsilonPrediction, VPrediction, X0Prediction
from diffloom.process.schedules import CosineSchedule, LinearSchedule, ScaledLinearSchedule
from diffloom.process.variances import FixedLargeVariance, FixedSmallVariance, LearnedRangeVariance

if TYPE_CHECKING:
    from diffloom.registrar import Registrar


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the schedules, predictions and variances."""
    for component in (
        LinearSchedule,
        ScaledLinearSchedule,
        CosineSchedule,
        EpsilonPrediction,
        X0Prediction,
        VPrediction,
        FixedSmallVariance,
        FixedLargeVariance,
        LearnedRangeVariance,
    ):
        registrar.add(component)

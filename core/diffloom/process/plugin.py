"""Core's own components, through the same door as everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.hooks import hookimpl
from diffloom.process.continuous_schedules import EDMSchedule, VESchedule, VPSchedule
from diffloom.process.flow_schedule import FlowSchedule
from diffloom.process.given_schedule import BetasSchedule
from diffloom.process.learned_schedule import LearnedSchedule
from diffloom.process.predictions import (
    EDMPrediction,
    EpsilonPrediction,
    FlowPrediction,
    PosteriorMeanPrediction,
    ScorePrediction,
    VPrediction,
    X0Prediction,
)
from diffloom.process.schedules import (
    ConstantSchedule,
    LinearSchedule,
    ScaledLinearSchedule,
    SigmoidBetaSchedule,
    SqrtSchedule,
)
from diffloom.process.signal_schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LaplaceSchedule,
    SigmoidSchedule,
)
from diffloom.process.variances import (
    FixedLargeVariance,
    FixedSmallVariance,
    LearnedRangeVariance,
    LearnedVariance,
)
from diffloom.process.wrapped_schedules import LogSNRShiftSchedule, ZeroTerminalSNRSchedule

if TYPE_CHECKING:
    from diffloom.registrar import Registrar


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the schedules, predictions and variances."""
    for component in (
        LinearSchedule,
        ScaledLinearSchedule,
        SqrtSchedule,
        SigmoidBetaSchedule,
        ConstantSchedule,
        CosineSchedule,
        SigmoidSchedule,
        LaplaceSchedule,
        ExponentialSchedule,
        BetasSchedule,
        ZeroTerminalSNRSchedule,
        LogSNRShiftSchedule,
        VPSchedule,
        VESchedule,
        EDMSchedule,
        FlowSchedule,
        LearnedSchedule,
        EpsilonPrediction,
        X0Prediction,
        VPrediction,
        PosteriorMeanPrediction,
        ScorePrediction,
        FlowPrediction,
        EDMPrediction,
        FixedSmallVariance,
        FixedLargeVariance,
        LearnedRangeVariance,
        LearnedVariance,
    ):
        registrar.add(component)

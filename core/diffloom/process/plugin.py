"""Core's own components, through the same door as everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffloom.hooks import hookimpl

if TYPE_CHECKING:
    from diffloom.registrar import Registrar


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the schedules, predictions and variances."""
    registrar.add_lazily(
        "schedule",
        linear="diffloom.process.schedules:LinearSchedule",
        scaled_linear="diffloom.process.schedules:ScaledLinearSchedule",
        sqrt="diffloom.process.schedules:SqrtSchedule",
        sigmoid_beta="diffloom.process.schedules:SigmoidBetaSchedule",
        constant="diffloom.process.schedules:ConstantSchedule",
        cosine="diffloom.process.signal_schedules:CosineSchedule",
        sigmoid="diffloom.process.signal_schedules:SigmoidSchedule",
        laplace="diffloom.process.signal_schedules:LaplaceSchedule",
        exponential="diffloom.process.signal_schedules:ExponentialSchedule",
        betas="diffloom.process.given_schedule:BetasSchedule",
        zero_terminal_snr="diffloom.process.wrapped_schedules:ZeroTerminalSNRSchedule",
        log_snr_shift="diffloom.process.wrapped_schedules:LogSNRShiftSchedule",
        vp="diffloom.process.continuous_schedules:VPSchedule",
        ve="diffloom.process.continuous_schedules:VESchedule",
        edm="diffloom.process.continuous_schedules:EDMSchedule",
        flow="diffloom.process.flow_schedule:FlowSchedule",
        learned="diffloom.process.learned_schedule:LearnedSchedule",
    )
    registrar.add_lazily(
        "prediction",
        epsilon="diffloom.process.predictions:EpsilonPrediction",
        x0="diffloom.process.predictions:X0Prediction",
        v="diffloom.process.predictions:VPrediction",
        posterior_mean="diffloom.process.predictions:PosteriorMeanPrediction",
        score="diffloom.process.predictions:ScorePrediction",
        flow="diffloom.process.predictions:FlowPrediction",
        edm="diffloom.process.predictions:EDMPrediction",
    )
    registrar.add_lazily(
        "variance",
        fixed_small="diffloom.process.variances:FixedSmallVariance",
        fixed_large="diffloom.process.variances:FixedLargeVariance",
        learned_range="diffloom.process.variances:LearnedRangeVariance",
        learned="diffloom.process.variances:LearnedVariance",
    )

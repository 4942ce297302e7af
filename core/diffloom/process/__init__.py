"""The mathematics of diffusion: schedules, predictions, the forward and the reverse process, keyed noise.

The names are loaded on first use, so that naming the components (`diffloom.process.plugin`) does not import
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.process.bound import Chain, bits, normal_kl, pixel_log_likelihood, prior_bits, step_bits
    from diffloom.process.continuous import VP, Flow, Geometric
    from diffloom.process.continuous_schedules import EDMSchedule, GeometricSchedule, VESchedule, VPSchedule
    from diffloom.process.conversion_table import CONVERSIONS, convert
    from diffloom.process.conversions import X0, Epsilon, FlowVelocity, Preconditioned, Score, V
    from diffloom.process.denoised import Denoised, Term, Tilt, mixed, summed
    from diffloom.process.flow_schedule import FlowSchedule, SizeShift
    from diffloom.process.forward import Posterior, alpha_sigma, noised
    from diffloom.process.given_schedule import BetasSchedule
    from diffloom.process.learned_schedule import LearnedSchedule
    from diffloom.process.likelihood import BitsPerDimension, bits_per_dimension
    from diffloom.process.monotone import MonotoneSchedule
    from diffloom.process.noise import Draws, keyed_generator
    from diffloom.process.path import Exploding, NoisePath, PathSchedule, Preserving, Straight
    from diffloom.process.polynomial import exponential_integrals, lagrange_integrals
    from diffloom.process.posterior_mean import PosteriorMean
    from diffloom.process.predictions import (
        EDMPrediction,
        EpsilonPrediction,
        FlowPrediction,
        PosteriorMeanPrediction,
        ScorePrediction,
        VPrediction,
        X0Prediction,
    )
    from diffloom.process.questions import Questions
    from diffloom.process.rescaled import Shifted, without_terminal_signal
    from diffloom.process.reverse import clipped, denoiser, perturbed, under
    from diffloom.process.schedule import TableSchedule
    from diffloom.process.schedules import (
        BetaSchedule,
        ConstantSchedule,
        LinearSchedule,
        ScaledLinearSchedule,
        SigmoidBetaSchedule,
        SqrtSchedule,
    )
    from diffloom.process.signal import log_snr_fall, share_of, snr_fall
    from diffloom.process.signal_schedules import (
        CosineSchedule,
        ExponentialSchedule,
        LaplaceSchedule,
        SigmoidSchedule,
        SignalSchedule,
    )
    from diffloom.process.steering import Steered, shifted
    from diffloom.process.step_noise import KeyedNoise
    from diffloom.process.strength import Strength, noise_share
    from diffloom.process.types import (
        CLEAN,
        Aims,
        Course,
        Level,
        Model,
        Process,
        Step,
        View,
        WalkNoise,
    )
    from diffloom.process.variances import (
        FixedLarge,
        FixedLargeVariance,
        FixedSmall,
        FixedSmallVariance,
        Learned,
        LearnedRange,
        LearnedRangeVariance,
        LearnedVariance,
    )
    from diffloom.process.walk import Move, Stepper
    from diffloom.process.wrapped_schedules import LogSNRShiftSchedule, ZeroTerminalSNRSchedule

__all__ = [
    "CLEAN",
    "CONVERSIONS",
    "VP",
    "X0",
    "Aims",
    "BetaSchedule",
    "BetasSchedule",
    "BitsPerDimension",
    "Chain",
    "ConstantSchedule",
    "CosineSchedule",
    "Course",
    "Denoised",
    "Draws",
    "EDMPrediction",
    "EDMSchedule",
    "Epsilon",
    "EpsilonPrediction",
    "Exploding",
    "ExponentialSchedule",
    "FixedLarge",
    "FixedLargeVariance",
    "FixedSmall",
    "FixedSmallVariance",
    "Flow",
    "FlowPrediction",
    "FlowSchedule",
    "FlowVelocity",
    "Geometric",
    "GeometricSchedule",
    "KeyedNoise",
    "LaplaceSchedule",
    "Learned",
    "LearnedRange",
    "LearnedRangeVariance",
    "LearnedSchedule",
    "LearnedVariance",
    "Level",
    "LinearSchedule",
    "LogSNRShiftSchedule",
    "Model",
    "MonotoneSchedule",
    "Move",
    "NoisePath",
    "PathSchedule",
    "Posterior",
    "PosteriorMean",
    "PosteriorMeanPrediction",
    "Preconditioned",
    "Preserving",
    "Process",
    "Questions",
    "ScaledLinearSchedule",
    "Score",
    "ScorePrediction",
    "Shifted",
    "SigmoidBetaSchedule",
    "SigmoidSchedule",
    "SignalSchedule",
    "SizeShift",
    "SqrtSchedule",
    "Steered",
    "Step",
    "Stepper",
    "Straight",
    "Strength",
    "TableSchedule",
    "Term",
    "Tilt",
    "V",
    "VESchedule",
    "VPSchedule",
    "VPrediction",
    "View",
    "WalkNoise",
    "X0Prediction",
    "ZeroTerminalSNRSchedule",
    "alpha_sigma",
    "bits",
    "bits_per_dimension",
    "clipped",
    "convert",
    "denoiser",
    "exponential_integrals",
    "keyed_generator",
    "lagrange_integrals",
    "log_snr_fall",
    "mixed",
    "noise_share",
    "noised",
    "normal_kl",
    "perturbed",
    "pixel_log_likelihood",
    "prior_bits",
    "share_of",
    "shifted",
    "snr_fall",
    "step_bits",
    "summed",
    "under",
    "without_terminal_signal",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bound": ["Chain", "bits", "normal_kl", "pixel_log_likelihood", "prior_bits", "step_bits"],
        "continuous": ["VP", "Flow", "Geometric"],
        "continuous_schedules": ["EDMSchedule", "GeometricSchedule", "VESchedule", "VPSchedule"],
        "conversions": ["X0", "Epsilon", "FlowVelocity", "Preconditioned", "Score", "V"],
        "conversion_table": ["CONVERSIONS", "convert"],
        "denoised": ["Denoised", "Term", "Tilt", "mixed", "summed"],
        "flow_schedule": ["FlowSchedule", "SizeShift"],
        "given_schedule": ["BetasSchedule"],
        "learned_schedule": ["LearnedSchedule"],
        "likelihood": ["BitsPerDimension", "bits_per_dimension"],
        "monotone": ["MonotoneSchedule"],
        "path": ["Exploding", "NoisePath", "PathSchedule", "Preserving", "Straight"],
        "posterior_mean": ["PosteriorMean"],
        "polynomial": ["exponential_integrals", "lagrange_integrals"],
        "predictions": [
            "EDMPrediction",
            "EpsilonPrediction",
            "FlowPrediction",
            "PosteriorMeanPrediction",
            "ScorePrediction",
            "VPrediction",
            "X0Prediction",
        ],
        "questions": ["Questions"],
        "rescaled": ["Shifted", "without_terminal_signal"],
        "schedules": [
            "BetaSchedule",
            "ConstantSchedule",
            "LinearSchedule",
            "ScaledLinearSchedule",
            "SigmoidBetaSchedule",
            "SqrtSchedule",
        ],
        "signal_schedules": [
            "CosineSchedule",
            "ExponentialSchedule",
            "LaplaceSchedule",
            "SigmoidSchedule",
            "SignalSchedule",
        ],
        "wrapped_schedules": ["LogSNRShiftSchedule", "ZeroTerminalSNRSchedule"],
        "forward": ["Posterior", "alpha_sigma", "noised"],
        "noise": ["Draws", "keyed_generator"],
        "reverse": ["clipped", "denoiser", "perturbed", "under"],
        "schedule": ["TableSchedule"],
        "signal": ["log_snr_fall", "share_of", "snr_fall"],
        "steering": ["Steered", "shifted"],
        "step_noise": ["KeyedNoise"],
        "strength": ["Strength", "noise_share"],
        "types": [
            "CLEAN",
            "Aims",
            "Course",
            "Level",
            "Model",
            "Process",
            "Step",
            "View",
            "WalkNoise",
        ],
        "variances": [
            "FixedLarge",
            "FixedLargeVariance",
            "FixedSmall",
            "FixedSmallVariance",
            "Learned",
            "LearnedRange",
            "LearnedRangeVariance",
            "LearnedVariance",
        ],
        "walk": ["Move", "Stepper"],
    },
)

"""The mathematics of diffusion: schedules, predictions, the forward and the reverse process, keyed noise.

The names are loaded on first use, so that naming the components (`diffloom.process.plugin`) does not import
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from diffloom.process.forward import Posterior, alpha_sigma, noised
    from diffloom.process.noise import Draws, keyed_generator
    from diffloom.process.predictions import X0, Epsilon, EpsilonPrediction, V, VPrediction, X0Prediction
    from diffloom.process.reverse import clipped, denoiser, perturbed, under
    from diffloom.process.schedule import TableSchedule
    from diffloom.process.schedules import CosineSchedule, LinearSchedule, ScaledLinearSchedule
    from diffloom.process.steering import Steered, shifted
    from diffloom.process.step_noise import KeyedNoise
    from diffloom.process.types import (
        CLEAN,
        Aims,
        Course,
        Denoised,
        Level,
        Model,
        Process,
        Step,
        Tilt,
        View,
        WalkNoise,
    )
    from diffloom.process.variances import (
        FixedLarge,
        FixedLargeVariance,
        FixedSmall,
        FixedSmallVariance,
        LearnedRange,
        LearnedRangeVariance,
    )
    from diffloom.process.walk import Move, Stepper

__all__ = [
    "CLEAN",
    "X0",
    "Aims",
    "CosineSchedule",
    "Course",
    "Denoised",
    "Draws",
    "Epsilon",
    "EpsilonPrediction",
    "FixedLarge",
    "FixedLargeVariance",
    "FixedSmall",
    "FixedSmallVariance",
    "KeyedNoise",
    "LearnedRange",
    "LearnedRangeVariance",
    "Level",
    "LinearSchedule",
    "Model",
    "Move",
    "Posterior",
    "Process",
    "ScaledLinearSchedule",
    "Steered",
    "Step",
    "Stepper",
    "TableSchedule",
    "Tilt",
    "V",
    "VPrediction",
    "View",
    "WalkNoise",
    "X0Prediction",
    "alpha_sigma",
    "clipped",
    "denoiser",
    "keyed_generator",
    "noised",
    "perturbed",
    "shifted",
    "under",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "forward": ["Posterior", "alpha_sigma", "noised"],
        "noise": ["Draws", "keyed_generator"],
        "predictions": ["Epsilon", "EpsilonPrediction", "V", "VPrediction", "X0", "X0Prediction"],
        "reverse": ["clipped", "denoiser", "perturbed", "under"],
        "schedule": ["TableSchedule"],
        "schedules": ["CosineSchedule", "LinearSchedule", "ScaledLinearSchedule"],
        "steering": ["Steered", "shifted"],
        "step_noise": ["KeyedNoise"],
        "types": [
            "CLEAN",
            "Aims",
            "Course",
            "Denoised",
            "Level",
            "Model",
            "Process",
            "Step",
            "Tilt",
            "View",
            "WalkNoise",
        ],
        "variances": [
            "FixedLarge",
            "FixedLargeVariance",
            "FixedSmall",
            "FixedSmallVariance",
            "LearnedRange",
            "LearnedRangeVariance",
        ],
        "walk": ["Move", "Stepper"],
    },
)

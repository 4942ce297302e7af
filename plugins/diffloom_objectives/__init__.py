"""Objectives: what training minimises, with its weightings, timings and pairings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_objectives.bounds import HybridObjective, VariationalBoundObjective
from diffloom_objectives.objectives import HuberObjective, LpObjective, SimpleObjective
from diffloom_objectives.pairings import ImmisciblePairing, IndependentPairing
from diffloom_objectives.timings import (
    CosMapTiming,
    LogitNormalTiming,
    LogNormalTiming,
    ModeTiming,
    SecondMomentTiming,
    StratifiedTiming,
    UniformTiming,
)
from diffloom_objectives.weightings import (
    BoundWeighting,
    EDMWeighting,
    LearnedLogVarianceWeighting,
    MinSNRWeighting,
    P2Weighting,
    SigmoidWeighting,
    SoftMinSNRWeighting,
    UniformWeighting,
)

if TYPE_CHECKING:
    from diffloom_objectives.log_variance import LearnedLogVariance
    from diffloom_objectives.noising import Noising
    from diffloom_objectives.regression import Regression
    from diffloom_objectives.second_moment import SecondMoment
    from diffloom_objectives.variational_bound import Hybrid, VariationalBound

COMPONENTS = (
    SimpleObjective,
    LpObjective,
    HuberObjective,
    VariationalBoundObjective,
    HybridObjective,
    UniformWeighting,
    MinSNRWeighting,
    SoftMinSNRWeighting,
    P2Weighting,
    EDMWeighting,
    SigmoidWeighting,
    BoundWeighting,
    LearnedLogVarianceWeighting,
    UniformTiming,
    StratifiedTiming,
    LogitNormalTiming,
    ModeTiming,
    CosMapTiming,
    LogNormalTiming,
    SecondMomentTiming,
    IndependentPairing,
    ImmisciblePairing,
)

__all__ = [
    "BoundWeighting",
    "CosMapTiming",
    "EDMWeighting",
    "HuberObjective",
    "Hybrid",
    "HybridObjective",
    "ImmisciblePairing",
    "IndependentPairing",
    "LearnedLogVariance",
    "LearnedLogVarianceWeighting",
    "LogNormalTiming",
    "LogitNormalTiming",
    "LpObjective",
    "MinSNRWeighting",
    "ModeTiming",
    "Noising",
    "P2Weighting",
    "Regression",
    "SecondMoment",
    "SecondMomentTiming",
    "SigmoidWeighting",
    "SimpleObjective",
    "SoftMinSNRWeighting",
    "StratifiedTiming",
    "UniformTiming",
    "UniformWeighting",
    "VariationalBound",
    "VariationalBoundObjective",
]

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "log_variance": ["LearnedLogVariance"],
        "noising": ["Noising"],
        "regression": ["Regression"],
        "second_moment": ["SecondMoment"],
        "variational_bound": ["Hybrid", "VariationalBound"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the objectives and their parts."""
    for component in COMPONENTS:
        registrar.add(component)

"""Objectives: what training minimises, with its weightings, timings and pairings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_objectives.bounds import HybridObjective, VariationalBoundObjective
    from diffloom_objectives.log_variance import LearnedLogVariance
    from diffloom_objectives.noising import Noising
    from diffloom_objectives.objectives import HuberObjective, LpObjective, SimpleObjective
    from diffloom_objectives.pairings import ImmisciblePairing, IndependentPairing
    from diffloom_objectives.regression import Regression
    from diffloom_objectives.second_moment import SecondMoment
    from diffloom_objectives.timings import (
        CosMapTiming,
        LogitNormalTiming,
        LogNormalTiming,
        ModeTiming,
        SecondMomentTiming,
        StratifiedTiming,
        UniformTiming,
    )
    from diffloom_objectives.variational_bound import Hybrid, VariationalBound
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

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bounds": ["HybridObjective", "VariationalBoundObjective"],
        "log_variance": ["LearnedLogVariance"],
        "noising": ["Noising"],
        "objectives": ["HuberObjective", "LpObjective", "SimpleObjective"],
        "pairings": ["ImmisciblePairing", "IndependentPairing"],
        "regression": ["Regression"],
        "second_moment": ["SecondMoment"],
        "timings": [
            "CosMapTiming",
            "LogNormalTiming",
            "LogitNormalTiming",
            "ModeTiming",
            "SecondMomentTiming",
            "StratifiedTiming",
            "UniformTiming",
        ],
        "variational_bound": ["Hybrid", "VariationalBound"],
        "weightings": [
            "BoundWeighting",
            "EDMWeighting",
            "LearnedLogVarianceWeighting",
            "MinSNRWeighting",
            "P2Weighting",
            "SigmoidWeighting",
            "SoftMinSNRWeighting",
            "UniformWeighting",
        ],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the objectives and their parts."""
    registrar.add_lazily(
        "objective",
        simple="diffloom_objectives.objectives:SimpleObjective",
        lp="diffloom_objectives.objectives:LpObjective",
        huber="diffloom_objectives.objectives:HuberObjective",
        variational_bound="diffloom_objectives.bounds:VariationalBoundObjective",
        hybrid="diffloom_objectives.bounds:HybridObjective",
    )
    registrar.add_lazily(
        "weighting",
        uniform="diffloom_objectives.weightings:UniformWeighting",
        min_snr="diffloom_objectives.weightings:MinSNRWeighting",
        soft_min_snr="diffloom_objectives.weightings:SoftMinSNRWeighting",
        p2="diffloom_objectives.weightings:P2Weighting",
        edm="diffloom_objectives.weightings:EDMWeighting",
        sigmoid="diffloom_objectives.weightings:SigmoidWeighting",
        bound="diffloom_objectives.weightings:BoundWeighting",
        learned_log_variance="diffloom_objectives.weightings:LearnedLogVarianceWeighting",
    )
    registrar.add_lazily(
        "timing",
        uniform="diffloom_objectives.timings:UniformTiming",
        stratified="diffloom_objectives.timings:StratifiedTiming",
        logit_normal="diffloom_objectives.timings:LogitNormalTiming",
        mode="diffloom_objectives.timings:ModeTiming",
        cosmap="diffloom_objectives.timings:CosMapTiming",
        log_normal="diffloom_objectives.timings:LogNormalTiming",
        second_moment="diffloom_objectives.timings:SecondMomentTiming",
    )
    registrar.add_lazily(
        "pairing",
        independent="diffloom_objectives.pairings:IndependentPairing",
        immiscible="diffloom_objectives.pairings:ImmisciblePairing",
    )

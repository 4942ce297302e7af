"""Samplers that draw fresh noise along one path for each sample, and those that walk in ways of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_sde.dpmpp import DPMpp2MSDE, DPMpp3MSDE
    from diffloom_sde.dpmpp_single import DPMppSDE
    from diffloom_sde.lcm import LCM
    from diffloom_sde.ode import ODE
    from diffloom_sde.own_walks import ODESampler, PredictorCorrectorSampler, RePaintSampler
    from diffloom_sde.predictor_corrector import PredictorCorrector
    from diffloom_sde.repaint import RePaint
    from diffloom_sde.sa_solver import SASolver
    from diffloom_sde.samplers import (
        DPMpp2MSDESampler,
        DPMpp3MSDESampler,
        DPMppSDESampler,
        LCMSampler,
        SASolverSampler,
    )

__all__ = [
    "LCM",
    "ODE",
    "DPMpp2MSDE",
    "DPMpp2MSDESampler",
    "DPMpp3MSDE",
    "DPMpp3MSDESampler",
    "DPMppSDE",
    "DPMppSDESampler",
    "LCMSampler",
    "ODESampler",
    "PredictorCorrector",
    "PredictorCorrectorSampler",
    "RePaint",
    "RePaintSampler",
    "SASolver",
    "SASolverSampler",
]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dpmpp": ["DPMpp2MSDE", "DPMpp3MSDE"],
        "dpmpp_single": ["DPMppSDE"],
        "lcm": ["LCM"],
        "ode": ["ODE"],
        "own_walks": ["ODESampler", "PredictorCorrectorSampler", "RePaintSampler"],
        "predictor_corrector": ["PredictorCorrector"],
        "repaint": ["RePaint"],
        "sa_solver": ["SASolver"],
        "samplers": [
            "DPMpp2MSDESampler",
            "DPMpp3MSDESampler",
            "DPMppSDESampler",
            "LCMSampler",
            "SASolverSampler",
        ],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
    registrar.add_lazily(
        "sampler",
        dpmpp_sde="diffloom_sde.samplers:DPMppSDESampler",
        dpmpp_2m_sde="diffloom_sde.samplers:DPMpp2MSDESampler",
        dpmpp_3m_sde="diffloom_sde.samplers:DPMpp3MSDESampler",
        sa_solver="diffloom_sde.samplers:SASolverSampler",
        lcm="diffloom_sde.samplers:LCMSampler",
        predictor_corrector="diffloom_sde.own_walks:PredictorCorrectorSampler",
        ode="diffloom_sde.own_walks:ODESampler",
        repaint="diffloom_sde.own_walks:RePaintSampler",
    )

"""Samplers that know one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_samplers.ancestral import (
        DPM2AncestralSampler,
        DPMPP2SAncestralSampler,
        EulerAncestralSampler,
    )
    from diffloom_samplers.churned import DPM2Sampler, EulerSampler, HeunSampler
    from diffloom_samplers.ddim import DDIM
    from diffloom_samplers.ddpm import DDPM
    from diffloom_samplers.dpm_solver import DPMSolver2S, DPMSolver3S
    from diffloom_samplers.dpmpp import DPMPP2S
    from diffloom_samplers.euler import Euler
    from diffloom_samplers.fresh_noise import Ancestry, Churn
    from diffloom_samplers.heun import Heun
    from diffloom_samplers.samplers import DDIMSampler, DDPMSampler
    from diffloom_samplers.singlestep import DPMPP2SSampler, DPMSolver2SSampler, DPMSolver3SSampler

__all__ = [
    "DDIM",
    "DDPM",
    "DPMPP2S",
    "Ancestry",
    "Churn",
    "DDIMSampler",
    "DDPMSampler",
    "DPM2AncestralSampler",
    "DPM2Sampler",
    "DPMPP2SAncestralSampler",
    "DPMPP2SSampler",
    "DPMSolver2S",
    "DPMSolver2SSampler",
    "DPMSolver3S",
    "DPMSolver3SSampler",
    "Euler",
    "EulerAncestralSampler",
    "EulerSampler",
    "Heun",
    "HeunSampler",
]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ancestral": ["DPM2AncestralSampler", "DPMPP2SAncestralSampler", "EulerAncestralSampler"],
        "churned": ["DPM2Sampler", "EulerSampler", "HeunSampler"],
        "ddim": ["DDIM"],
        "ddpm": ["DDPM"],
        "dpm_solver": ["DPMSolver2S", "DPMSolver3S"],
        "dpmpp": ["DPMPP2S"],
        "euler": ["Euler"],
        "fresh_noise": ["Ancestry", "Churn"],
        "heun": ["Heun"],
        "samplers": ["DDIMSampler", "DDPMSampler"],
        "singlestep": ["DPMPP2SSampler", "DPMSolver2SSampler", "DPMSolver3SSampler"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
    registrar.add_lazily(
        "sampler",
        ddpm="diffloom_samplers.samplers:DDPMSampler",
        ddim="diffloom_samplers.samplers:DDIMSampler",
        euler="diffloom_samplers.churned:EulerSampler",
        euler_ancestral="diffloom_samplers.ancestral:EulerAncestralSampler",
        heun="diffloom_samplers.churned:HeunSampler",
        dpm2="diffloom_samplers.churned:DPM2Sampler",
        dpm2_ancestral="diffloom_samplers.ancestral:DPM2AncestralSampler",
        dpm_solver_2s="diffloom_samplers.singlestep:DPMSolver2SSampler",
        dpm_solver_3s="diffloom_samplers.singlestep:DPMSolver3SSampler",
        dpmpp_2s="diffloom_samplers.singlestep:DPMPP2SSampler",
        dpmpp_2s_ancestral="diffloom_samplers.ancestral:DPMPP2SAncestralSampler",
    )

"""Samplers that know one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl
from diffloom_samplers.ancestral import DPM2AncestralSampler, DPMPP2SAncestralSampler, EulerAncestralSampler
from diffloom_samplers.churned import DPM2Sampler, EulerSampler, HeunSampler
from diffloom_samplers.samplers import DDIMSampler, DDPMSampler
from diffloom_samplers.singlestep import DPMPP2SSampler, DPMSolver2SSampler, DPMSolver3SSampler

if TYPE_CHECKING:
    from diffloom_samplers.ddim import DDIM
    from diffloom_samplers.ddpm import DDPM
    from diffloom_samplers.dpm_solver import DPMSolver2S, DPMSolver3S
    from diffloom_samplers.dpmpp import DPMPP2S
    from diffloom_samplers.euler import Euler
    from diffloom_samplers.fresh_noise import Ancestry, Churn
    from diffloom_samplers.heun import Heun

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

# These need torch, which registering must not import. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ddim": ["DDIM"],
        "ddpm": ["DDPM"],
        "dpm_solver": ["DPMSolver2S", "DPMSolver3S"],
        "dpmpp": ["DPMPP2S"],
        "euler": ["Euler"],
        "fresh_noise": ["Ancestry", "Churn"],
        "heun": ["Heun"],
    },
)

COMPONENTS = (
    DDPMSampler,
    DDIMSampler,
    EulerSampler,
    EulerAncestralSampler,
    HeunSampler,
    DPM2Sampler,
    DPM2AncestralSampler,
    DPMSolver2SSampler,
    DPMSolver3SSampler,
    DPMPP2SSampler,
    DPMPP2SAncestralSampler,
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
    for component in COMPONENTS:
        registrar.add(component)

"""Samplers that remember the steps before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_multistep.adams import IPNDM, PLMS
    from diffloom_multistep.deis import DEIS
    from diffloom_multistep.dpmpp import DPMpp2M, DPMpp3M
    from diffloom_multistep.lms import LMS
    from diffloom_multistep.samplers import (
        DEISSampler,
        DPMpp2MSampler,
        DPMpp3MSampler,
        IPNDMSampler,
        LMSSampler,
        PLMSSampler,
        UniPCSampler,
    )
    from diffloom_multistep.unipc import UniPC

__all__ = [
    "DEIS",
    "IPNDM",
    "LMS",
    "PLMS",
    "DEISSampler",
    "DPMpp2M",
    "DPMpp2MSampler",
    "DPMpp3M",
    "DPMpp3MSampler",
    "IPNDMSampler",
    "LMSSampler",
    "PLMSSampler",
    "UniPC",
    "UniPCSampler",
]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "adams": ["IPNDM", "PLMS"],
        "deis": ["DEIS"],
        "dpmpp": ["DPMpp2M", "DPMpp3M"],
        "lms": ["LMS"],
        "samplers": [
            "DEISSampler",
            "DPMpp2MSampler",
            "DPMpp3MSampler",
            "IPNDMSampler",
            "LMSSampler",
            "PLMSSampler",
            "UniPCSampler",
        ],
        "unipc": ["UniPC"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the samplers."""
    registrar.add_lazily(
        "sampler",
        lms="diffloom_multistep.samplers:LMSSampler",
        plms="diffloom_multistep.samplers:PLMSSampler",
        ipndm="diffloom_multistep.samplers:IPNDMSampler",
        deis="diffloom_multistep.samplers:DEISSampler",
        dpmpp_2m="diffloom_multistep.samplers:DPMpp2MSampler",
        dpmpp_3m="diffloom_multistep.samplers:DPMpp3MSampler",
        unipc="diffloom_multistep.samplers:UniPCSampler",
    )

"""Spacings: the noise levels a sampler visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_spacings.align_your_steps import AlignYourSteps
    from diffloom_spacings.beta import Beta, BetaRatio
    from diffloom_spacings.explicit import Explicit
    from diffloom_spacings.karras import Exponential, Karras, LogSNRUniform, PolyExponential
    from diffloom_spacings.quadratic import Quadratic
    from diffloom_spacings.sections import Sections
    from diffloom_spacings.times import Leading, Linspace, Trailing

__all__ = [
    "AlignYourSteps",
    "Beta",
    "BetaRatio",
    "Explicit",
    "Exponential",
    "Karras",
    "Leading",
    "Linspace",
    "LogSNRUniform",
    "PolyExponential",
    "Quadratic",
    "Sections",
    "Trailing",
]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "align_your_steps": ["AlignYourSteps"],
        "beta": ["Beta", "BetaRatio"],
        "explicit": ["Explicit"],
        "karras": ["Exponential", "Karras", "LogSNRUniform", "PolyExponential"],
        "quadratic": ["Quadratic"],
        "sections": ["Sections"],
        "times": ["Leading", "Linspace", "Trailing"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the spacings."""
    registrar.add_lazily(
        "spacing",
        leading="diffloom_spacings.times:Leading",
        trailing="diffloom_spacings.times:Trailing",
        linspace="diffloom_spacings.times:Linspace",
        quadratic="diffloom_spacings.quadratic:Quadratic",
        karras="diffloom_spacings.karras:Karras",
        exponential="diffloom_spacings.karras:Exponential",
        poly_exponential="diffloom_spacings.karras:PolyExponential",
        log_snr_uniform="diffloom_spacings.karras:LogSNRUniform",
        beta="diffloom_spacings.beta:Beta",
        beta_ratio="diffloom_spacings.beta:BetaRatio",
        align_your_steps="diffloom_spacings.align_your_steps:AlignYourSteps",
        sections="diffloom_spacings.sections:Sections",
        explicit="diffloom_spacings.explicit:Explicit",
    )

"""Spacings: the noise levels a sampler visits."""

from __future__ import annotations

from diffloom import Registrar, hookimpl
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


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register the spacings."""
    for component in (
        Leading,
        Trailing,
        Linspace,
        Quadratic,
        Karras,
        Exponential,
        PolyExponential,
        LogSNRUniform,
        Beta,
        BetaRatio,
        AlignYourSteps,
        Sections,
        Explicit,
    ):
        registrar.add(component)

"""Guidance, which steers the samples, and corrections, which mend what it does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from diffloom import Registrar, hookimpl

if TYPE_CHECKING:
    from diffloom_guidance.apg import APG
    from diffloom_guidance.autoguidance import AutoGuide
    from diffloom_guidance.cfg_zero import CFGZero
    from diffloom_guidance.classifier_free import ClassifierFree
    from diffloom_guidance.combined import Combined
    from diffloom_guidance.corrections import DynamicThresholdCorrection, RescaleCorrection
    from diffloom_guidance.dynamic_threshold import DynamicThreshold
    from diffloom_guidance.guidances import (
        AdaptiveProjectedGuidance,
        CFGZeroGuidance,
        ClassifierFreeGuidance,
        CombinedGuidance,
        PerturbedAttentionGuidance,
    )
    from diffloom_guidance.perturbed_attention import PerturbedAttention
    from diffloom_guidance.rescale import Rescale
    from diffloom_guidance.weaker import AutoGuidance

__all__ = [
    "APG",
    "AdaptiveProjectedGuidance",
    "AutoGuidance",
    "AutoGuide",
    "CFGZero",
    "CFGZeroGuidance",
    "ClassifierFree",
    "ClassifierFreeGuidance",
    "Combined",
    "CombinedGuidance",
    "DynamicThreshold",
    "DynamicThresholdCorrection",
    "PerturbedAttention",
    "PerturbedAttentionGuidance",
    "Rescale",
    "RescaleCorrection",
]

# Imported when they are first used: registering needs names alone. `__dir__` stays: pluggy looks for hooks in it.
__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "apg": ["APG"],
        "autoguidance": ["AutoGuide"],
        "cfg_zero": ["CFGZero"],
        "classifier_free": ["ClassifierFree"],
        "combined": ["Combined"],
        "corrections": ["DynamicThresholdCorrection", "RescaleCorrection"],
        "dynamic_threshold": ["DynamicThreshold"],
        "guidances": [
            "AdaptiveProjectedGuidance",
            "CFGZeroGuidance",
            "ClassifierFreeGuidance",
            "CombinedGuidance",
            "PerturbedAttentionGuidance",
        ],
        "perturbed_attention": ["PerturbedAttention"],
        "rescale": ["Rescale"],
        "weaker": ["AutoGuidance"],
    },
)


@hookimpl
def diffloom_register(registrar: Registrar) -> None:
    """Register guidances and corrections."""
    registrar.add_lazily(
        "guidance",
        classifier_free="diffloom_guidance.guidances:ClassifierFreeGuidance",
        cfg_zero="diffloom_guidance.guidances:CFGZeroGuidance",
        apg="diffloom_guidance.guidances:AdaptiveProjectedGuidance",
        perturbed_attention="diffloom_guidance.guidances:PerturbedAttentionGuidance",
        autoguidance="diffloom_guidance.weaker:AutoGuidance",
        combined="diffloom_guidance.guidances:CombinedGuidance",
    )
    registrar.add_lazily(
        "correction",
        rescale="diffloom_guidance.corrections:RescaleCorrection",
        dynamic_threshold="diffloom_guidance.corrections:DynamicThresholdCorrection",
    )

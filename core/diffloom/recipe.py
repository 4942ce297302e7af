"""How to draw the same samples again: what every picture carries. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from torch import Tensor

import diffloom
from diffloom import config
from diffloom.conditioning import Raw
from diffloom.config.plain import components, plain
from diffloom.inference import chosen_compute, settled

if TYPE_CHECKING:
    from diffloom.sampling import SamplingPlan


def recipe_of(plan: SamplingPlan) -> dict[str, Any]:
    """The recipe; of a walk, a guidance or a start given as an object, without a configuration, it says what it was.

    `computed` tells on what and in what; the same `sampling` elsewhere computes in the same type.
    """
    document = plan.pipeline.document
    compute = chosen_compute(plan.section.precision, plan.pipeline.backbone)

    def recorded(raw: Raw) -> dict[str, list[Any]]:
        return {
            name: [None if value is None else document.conditioners[name].recorded(value) for value in values]
            for name, values in raw.items()
        }

    recipe: dict[str, Any] = {
        "diffloom": diffloom.__version__,
        "config": config.digest(document),
        "weights": plan.pipeline.weights_digest,
        "seeds": [list(key) for key in plan.keys],
        "sampling": plain(plan.section)
        | {"precision": settled(plan.section.precision, plan.pipeline.backbone)}
        | ({"sampler": repr(plan.walk)} if plan.own_walk else {})
        | ({"guidance": repr(plan.own_guide)} if plan.own_guide else {}),
        "computed": {
            "device": plan.pipeline.device.type,
            "dtype": str(compute.dtype).removeprefix("torch."),
            "attention": document.attention.canonical,
        },
        "conditions": recorded(plan.raw),
    }
    if plan.negative:
        recipe["negative"] = recorded(plan.negative)
    if plan.also:
        recipe["also"] = [[weight, recorded(raw)] for weight, raw in plan.also]
    others = {
        source: digest
        for component in components(plan.section.guidance)
        for source, digest in component.digests().items()
    }
    if others:
        recipe["other_weights"] = others
    if plan.start_BCHW is not None:
        recipe["start"] = _digest(plan.start_BCHW)
    return recipe


def _digest(start_BCHW: Tensor) -> str:
    return hashlib.sha256(start_BCHW.detach().cpu().contiguous().numpy().tobytes()).hexdigest()

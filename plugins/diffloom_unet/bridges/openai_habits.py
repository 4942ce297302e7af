"""What every network under OpenAI's names has in common, and what must be asked about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffloom.bridge import Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom_unet.bridges.inference import answer
from diffloom_unet.bridges.layout import Layout
from diffloom_unet.bridges.published import Published

HABITS: Mapping[str, Any] = {
    "norm_groups": 32,
    "norm_eps": 1e-5,
    "downsample_padding": "symmetric",
    "time_cos_first": True,
    "time_frequency_shift": 0,
    "self_conditioning": False,
}
"""Fields that are the same in all of theirs."""
HEADS = ("heads", "head_channels")
"""Questions of which one is answered."""
COUNTS = (1, 2, 4, 8, 16)
WIDTHS = (8, 16, 32, 64, 128)
"""Numbers of heads and widths of one that are offered, where they divide."""


def fields_of(layout: Layout) -> dict[str, Any]:
    """The fields that names and shapes decide, and the habits."""
    return {
        **HABITS,
        "channels": layout.channels,
        "blocks_per_level": layout.blocks_per_level,
        "embedding": "scale_shift" if layout.scale_shift else "add",
        "resample": "residual" if layout.residual else "conv",
        "time_width": None if layout.time_width == layout.channels[0] else layout.time_width,
    }


def heads_of(foreign: Foreign, known: Published | None) -> dict[str, int]:
    """`heads` or `head_channels`: the user's answer, or else the published; empty where both are silent."""
    said = {name: value for name in HEADS if (value := answer(foreign, name))}
    if said or known is None:
        return said
    return {"heads": known.heads} if known.heads else {"head_channels": known.head_channels or 0}


def source(foreign: Foreign, known: Published | None, *questions: str) -> str:
    """Who answers these questions, for a reader: the user before the published."""
    said = any(question in foreign.assume for question in questions)
    return known.of if known and not said else "as you say"


def head_choices(layout: Layout) -> dict[str, str]:
    """What the user may answer: heads that fill every width at which pixels attend."""
    widths = layout.attending_widths
    counts = [count for count in COUNTS if all(width % count == 0 for width in widths)]
    each = [width for width in WIDTHS if all(other % width == 0 for other in widths)]
    return {
        **{f"heads={count}": f"{count} attention heads at every level" for count in counts},
        **{f"head_channels={width}": f"attention heads of {width} channels each" for width in each},
    }


def require_habits(inferred: Inferred, program: str) -> None:
    """Raises CheckpointError for a network that theirs is not."""
    part, condition = inferred.part, inferred.shapes["condition"]
    problems = [
        f"{name} {getattr(part, name)!r}: theirs is always {value!r}"
        for name, value in HABITS.items()
        if getattr(part, name) != value and not (name == "downsample_padding" and part.resample == "residual")
    ]
    if condition.classes and condition.vector:
        problems.append("classes beside a vector: theirs embeds both in label_emb")
    if problems:
        raise CheckpointError(f"{program} cannot express {'; '.join(problems)}")

"""What `UNet2DConditionModel`'s options say of each level, as our fields and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diffloom_unet.cross_attention import CrossAttentionUNet

PER_LEVEL = (
    "layers_per_block",
    "transformer_layers_per_block",
    "cross_attention_dim",
    "attention_head_dim",
    "only_cross_attention",
)
"""Options that are one value for all levels, or one for each."""
ATTENDS = {"CrossAttnDownBlock2D": True, "CrossAttnUpBlock2D": True, "DownBlock2D": False, "UpBlock2D": False}
"""Which of their blocks attend. Others are other networks'."""


def spread(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a value for every level; the middle takes the last.

    `attention_head_dim` is the number of heads, whatever it is called; `num_attention_heads`, where given, goes before.
    """
    levels = len(options["block_out_channels"])
    heads = options["num_attention_heads"] or options["attention_head_dim"]
    said = {**{name: options[name] for name in PER_LEVEL}, "attention_head_dim": heads}
    return {**options, **{name: each(value, levels) for name, value in said.items()}}


def each(value: Any, count: int) -> tuple[Any, ...]:
    """One value `count` times, or the values themselves."""
    return value if isinstance(value, tuple) else (value,) * count


def uneven(options: Mapping[str, Any]) -> list[str]:
    """Spread options that have not a value for every level."""
    names = (*PER_LEVEL, "down_block_types", "up_block_types")
    return _told(
        options, (name for name in names if len(options[name]) != len(options["block_out_channels"]))
    )


def inexpressible(options: Mapping[str, Any]) -> list[str]:
    """Spread options that no field of ours can say."""
    down = [ATTENDS.get(kind) for kind in options["down_block_types"]]
    up = [ATTENDS.get(kind) for kind in options["up_block_types"]]
    wrong = {
        "down_block_types": None in down,
        "up_block_types": down != up[::-1],
        "layers_per_block": len(set(options["layers_per_block"])) > 1,
        "transformer_layers_per_block": not _counts(options["transformer_layers_per_block"]),
        "cross_attention_dim": len(set(_reading(options, "cross_attention_dim"))) > 1,
        "attention_head_dim": not _counts(options["attention_head_dim"]) or not heads_of(options),
        "only_cross_attention": any(options["only_cross_attention"]),
    }
    return _told(options, (name for name, is_wrong in wrong.items() if is_wrong))


def heads_of(options: Mapping[str, Any]) -> dict[str, int]:
    """Our `heads` or `head_channels`; nothing when neither is the same everywhere."""
    counts, widths = _reading(options, "attention_head_dim"), _reading(options, "block_out_channels")
    if len(set(counts)) == 1:
        return {"heads": counts[0]}
    head_widths = {divmod(width, count) for width, count in zip(widths, counts, strict=True)}
    head_channels, rest = head_widths.pop()
    return {} if head_widths or rest else {"head_channels": head_channels}


def depths_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Our `transformer_depth` and `middle_depth`."""
    depths, kinds = options["transformer_layers_per_block"], options["down_block_types"]
    return {
        "transformer_depth": tuple(d if ATTENDS[kind] else 0 for d, kind in zip(depths, kinds, strict=True)),
        "middle_depth": depths[-1],
    }


def level_options(part: CrossAttentionUNet) -> tuple[dict[str, Any], list[str]]:
    """Their options of our levels, and what theirs cannot express."""
    *above, last = part.transformer_depth
    problems = []
    if not part.middle_depth:
        problems.append("middle_depth 0: theirs always attends in the middle")
    if last not in (0, part.middle_depth):
        problems.append(
            f"a last transformer_depth of {last} beside middle_depth {part.middle_depth}: theirs are one"
        )
    # where pixels do not attend, their number of blocks and heads says nothing and is 1 at least
    depths = [max(1, depth) for depth in (*above, part.middle_depth)]
    heads = [part.heads or max(1, width // (part.head_channels or width)) for width in part.channels]
    kinds = ["CrossAttn{}Block2D" if depth else "{}Block2D" for depth in part.transformer_depth]
    options = {
        "down_block_types": [kind.format("Down") for kind in kinds],
        "up_block_types": [kind.format("Up") for kind in reversed(kinds)],
        "transformer_layers_per_block": depths[0] if len(set(depths)) == 1 else depths,
        "attention_head_dim": heads[0] if len(set(heads)) == 1 else heads,
    }
    return options, problems


def _reading(options: Mapping[str, Any], name: str) -> list[Any]:
    """An option's values where tokens are read: at levels that attend, and in the middle."""
    levels = zip(options[name], options["down_block_types"], strict=True)
    return [*(value for value, kind in levels if ATTENDS.get(kind)), options[name][-1]]


def _counts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int) and value > 0 for value in values)


def _told(options: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [f"{name} {options[name]!r}" for name in names]

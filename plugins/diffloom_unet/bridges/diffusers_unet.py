"""diffusers' `UNet2DModel` ↔ component `unet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import AmbiguousError, Entry, Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo
from diffloom_unet.bridges import diffusers_names
from diffloom_unet.bridges.diffusers_fields import fields_of, options_of, unknown
from diffloom_unet.bridges.inference import answer, inferred, listed, size_choices
from diffloom_unet.bridges.options import UNET
from diffloom_unet.component import UNet

RESAMPLES = {"conv": "conv", "resnet": "residual"}
"""Their `downsample_type` and `upsample_type` → our `resample`."""


class DiffusersUNet:
    """`UNet2DModel`, with the names that it has today.

    Its options `downsample_type` and `upsample_type` hold at levels that attend; elsewhere the block's type decides.
    """

    format: ClassVar[str] = "diffusers"
    former: ClassVar[bool] = False

    def infer(self, foreign: Foreign) -> Inferred | None:
        options = UNET.read(foreign)
        if options is None or self.former != ("mid_block.attentions.0.query.weight" in foreign.tensors):
            return None
        attends, resample, problems = _levels(options)
        groups, default = options["norm_num_groups"], options["resnet_time_scale_shift"] == "default"
        # with scale and shift, the attention in their middle is normalised only if it is told its groups
        if options["attn_norm_num_groups"] not in ({None, groups} if default else {groups}):
            problems.append(f"attn_norm_num_groups {options['attn_norm_num_groups']!r}")
        UNET.refuse(foreign, [*unknown(options), *problems])
        attending = [level for level, attend in enumerate(attends) if attend]
        size = answer(foreign, "image_size") or options["sample_size"]
        if size is None:
            raise AmbiguousError(
                foreign.tensors.place,
                "levels that attend are named by their pixels, and without sample_size nothing says how many",
                size_choices(len(attends), attending),
            )
        height, width = (size, size) if isinstance(size, int) else size
        resolutions = tuple(min(height, width) >> level for level in attending)
        fields = {
            **fields_of(options),
            "attention_resolutions": resolutions,
            "head_channels": options["attention_head_dim"],
            "resample": resample,
        }
        return inferred(
            UNet,
            foreign,
            fields,
            channels_in=options["in_channels"],
            channels_out=options["out_channels"],
            size=(height, width),
            condition=ConditionInfo(classes=options["num_class_embeds"] or 0),
            told=[
                f"pixels attend at {listed(resolutions)} of {height} × {width}, and in the middle",
                *UNET.ignored(foreign),
            ],
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        attention = diffusers_names.FORMER if self.former else diffusers_names.TODAY
        return diffusers_names.naming(attention=attention).entries(module)

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> dict[str, Any]:
        part, space, condition = inferred.part, inferred.shapes["space"], inferred.shapes["condition"]
        levels = set(part.attention_levels(space))
        widths = part.attending_widths(space)
        several = part.heads not in (None, 1)  # a single head is as wide as its level, which None says
        head_widths = {width // part.heads for width in widths} if several else {part.head_channels}
        problems = []
        if len(head_widths) > 1:
            problems.append(
                f"{part.heads} heads at widths {listed(sorted(widths))}: theirs all have one width"
            )
        if part.time_width not in (None, part.channels[0]):
            problems.append(f"time_width {part.time_width}: theirs is that of the first level")
        if part.time_scale != 1:
            problems.append(f"time_scale {part.time_scale:g}: theirs takes times as they are")
        if part.self_conditioning:
            problems.append("self_conditioning: theirs is shown no estimate of x₀")
        if condition.vector:
            problems.append("a vector: theirs reads none")
        if problems:
            raise CheckpointError(f"UNet2DModel cannot express {'; '.join(problems)}")
        kind = "Resnet{}sampleBlock2D" if part.resample == "residual" else "{}Block2D"
        kinds = ["Attn{}Block2D" if level in levels else kind for level in range(len(part.channels))]
        resample = "resnet" if part.resample == "residual" else "conv"
        return {
            "_class_name": UNET.of,
            **options_of(part, space, condition),
            "down_block_types": [kind.format("Down") for kind in kinds],
            "up_block_types": [kind.format("Up") for kind in reversed(kinds)],
            "downsample_type": resample,
            "upsample_type": resample,
            "attention_head_dim": head_widths.pop(),
            "attn_norm_num_groups": part.norm_groups,
        }


class FormerDiffusersUNet(DiffusersUNet):
    """`UNet2DModel` with the names of diffusers' first year."""

    former = True


def _levels(options: Mapping[str, Any]) -> tuple[list[bool | None], str, list[str]]:
    """Which levels attend, what resamples between all of them, and the options by which there is no such answer."""
    down, up = _blocks(options, "Down"), _blocks(options, "Up")
    attends = [attend for attend, _ in down]
    between = {resample for _, resample in (*down[:-1], *up[:-1])} or {"conv"}
    wrong = []
    if None in attends:
        wrong.append("down_block_types")
    if [attend for attend, _ in reversed(up)] != attends:
        wrong.append("up_block_types")
    if not wrong and (len(between) > 1 or not between <= RESAMPLES.keys()):
        wrong += ["down_block_types", "downsample_type", "up_block_types", "upsample_type"]
    return attends, RESAMPLES.get(between.pop(), ""), [f"{name} {options[name]!r}" for name in wrong]


def _blocks(options: Mapping[str, Any], side: str) -> list[tuple[bool | None, str]]:
    """For each of a side's blocks whether it attends, None for an unknown one, and what resamples behind it."""
    kinds = {
        f"{side}Block2D": (False, "conv"),
        f"Resnet{side}sampleBlock2D": (False, "resnet"),
        f"Attn{side}Block2D": (True, options[f"{side.lower()}sample_type"]),
    }
    return [kinds.get(kind, (None, "")) for kind in options[f"{side.lower()}_block_types"]]

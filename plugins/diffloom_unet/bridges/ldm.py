"""The U-Net of latent-diffusion and Stable Diffusion single files ↔ component `cross_attention_unet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from torch import nn

from diffloom.bridge import AmbiguousError, Entry, Foreign, Inferred
from diffloom.errors import CheckpointError
from diffloom.kinds import ConditionInfo
from diffloom_unet.bridges import openai_names
from diffloom_unet.bridges.inference import SIDE, answer, inferred
from diffloom_unet.bridges.layout import read_layout
from diffloom_unet.bridges.openai_habits import (
    HEADS,
    fields_of,
    head_choices,
    heads_of,
    require_habits,
    source,
)
from diffloom_unet.bridges.published import published
from diffloom_unet.cross_attention import CrossAttentionUNet


class LDMUNet:
    """Names without the prefix of the single file. All is inferred from names and shapes, or published, or asked."""

    format: ClassVar[str] = "ldm"

    def infer(self, foreign: Foreign) -> Inferred | None:
        layout = read_layout(foreign.tensors)
        if layout is None or not layout.tokens:
            return None
        known = published(layout)
        heads = heads_of(foreign, known)
        if not heads:
            raise AmbiguousError(
                foreign.tensors.place,
                f"neither names nor shapes say how many heads attention has, beside tokens {layout.tokens} wide",
                head_choices(layout),
            )
        side = answer(foreign, "image_size") or (known.side if known else SIDE)
        words = " and ".join(f"{name} {value}" for name, value in heads.items())
        told = [
            layout.described(),
            f"tokens {layout.tokens} wide, {words}: {source(foreign, known, *HEADS)}",
            f"a space of {side} × {side}; the network is the same in another, --assume image_size=",
        ]
        return inferred(
            CrossAttentionUNet,
            foreign,
            {
                **fields_of(layout),
                **heads,
                "transformer_depth": layout.depths,
                "middle_depth": layout.middle_depth,
                "projection": "linear" if layout.linear else "conv",
            },
            channels_in=layout.channels_in,
            channels_out=layout.channels_out,
            size=(side, side),
            condition=ConditionInfo(classes=layout.classes, vector=layout.vector, tokens=layout.tokens),
            told=told,
        )

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        return openai_names.naming(legacy=True).entries(module)

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        return ()

    def config(self, inferred: Inferred) -> None:
        """None: a single file has no configuration."""
        require_habits(inferred, "latent-diffusion")
        if not inferred.part.middle_depth:
            raise CheckpointError(
                "latent-diffusion cannot express middle_depth 0: theirs attends in the middle"
            )

"""open_clip's own weights, which Stable Diffusion 2.x and XL also keep their text encoders as."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from torch import nn

from diffloom.bridge import Entry, Foreign, Inferred
from diffloom_clip.shapes import Shapes, architecture_of, encoder_of, heads, is_causal, quick_gelu
from diffloom_clip.tower import ClipTower

OURS = "text."
"""Where a tower keeps open_clip's module."""
OTHER_HALF = re.compile(r"visual\.|text_decoder\.|(logit_scale|logit_bias|attn_mask)$")
"""Of a whole CLIP or CoCa, what is not its text tower."""
OPENAI = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Numbers that OpenAI's own files, and no others, keep among the weights."""
BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")
REQUIRED = frozenset(
    {"token_embedding.weight", "positional_embedding", "transformer.resblocks.0.mlp.c_fc.weight"}
)
"""What shows the shapes."""


class OpenClipText:
    """The text half of a `CLIP`, whose names stand beside those of the picture half."""

    format: ClassVar[str] = "open_clip"
    prefix: ClassVar[str] = ""

    def infer(self, foreign: Foreign) -> Inferred | None:
        names = {name.removeprefix(self.prefix) for name in foreign.tensors if name.startswith(self.prefix)}
        if not names >= REQUIRED:
            return None
        tensors = foreign.tensors
        vocabulary, width = tensors.shape(f"{self.prefix}token_embedding.weight")
        blocks = [int(found[1]) for name in names if (found := BLOCK.match(name))]
        projection = f"{self.prefix}text_projection"
        shapes = Shapes(
            width=width,
            layers=max(blocks) + 1,
            hidden=tensors.shape(f"{self.prefix}transformer.resblocks.0.mlp.c_fc.weight")[0],
            context_length=tensors.shape(f"{self.prefix}positional_embedding")[0],
            vocab_size=vocabulary,
            embed_dim=tensors.shape(projection)[1] if projection in tensors else None,
        )
        by_openai = set(tensors) >= OPENAI
        alone = not any(name.startswith("visual.") for name in tensors)
        quick, why_quick = (
            (True, "as in all of OpenAI's own files")
            if by_openai
            else quick_gelu(shapes, foreign, alone=alone)
        )
        count, why_heads = heads(shapes, foreign)
        causal, why_causal = is_causal(shapes, foreign) if self.prefix else (True, "as in every plain CLIP")
        architecture = architecture_of(
            shapes, place=tensors.place, heads=count, quick_gelu=quick, no_causal_mask=not causal
        )
        part = encoder_of(architecture, pooled=shapes.embed_dim is not None, pad="zero")
        told = (
            f"{shapes.layers} blocks of width {width}, by the shapes",
            f"{count} heads, {why_heads}",
            f"{'quick-GELU' if quick else 'GELU'}, {why_quick}",
            f"{'causal' if causal else 'full'} attention, {why_causal}",
            "filled up with token 0, as open_clip does",
        )
        return Inferred(part, told=told)

    def entries(self, module: nn.Module) -> Iterator[Entry]:
        for name in module.state_dict():
            yield Entry(name, (self.prefix + name.removeprefix(OURS),))

    def spare(self, module: nn.Module, names: Iterable[str]) -> Sequence[str]:
        """The other half, OpenAI's numbers, and what the tower was built without."""
        assert isinstance(module, ClipTower)
        return [
            name
            for name in names
            if OTHER_HALF.match(name) or name in OPENAI or self._is_unread(name, module)
        ]

    def config(self, inferred: Inferred) -> dict[str, Any] | None:
        return None

    def _is_unread(self, name: str, tower: ClipTower) -> bool:
        inner = name.removeprefix(self.prefix)
        block = BLOCK.match(inner)
        if block:
            return tower.depth <= int(block[1]) < tower.architecture.layers
        is_projection = inner.partition(".")[0] == "text_projection"
        return is_projection and not tower.pooled and tower.architecture.embed_dim is not None


class OpenClipCustomText(OpenClipText):
    """The text half of a `CustomTextCLIP`, a module of its own there."""

    prefix: ClassVar[str] = "text."

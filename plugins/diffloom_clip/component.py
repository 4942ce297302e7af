"""The configuration of the CLIP text conditioner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from diffloom.kinds import Conditioner, ConditionInfo, Setting
from diffloom_clip.architecture import TextArchitecture
from diffloom_clip.clip_encoder import ClipEncoder
from diffloom_clip.prompt import checked

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge
    from diffloom.kinds import Codec, Weighted


class ClipText(Conditioner):
    """Prompts through CLIP's text encoder, or several side by side, as Stable Diffusion reads them.

    A prompt is a text with something in it; where none is given, the null condition stands. Tokens of several
    encoders lie side by side at the same positions, and pooled vectors one behind another (Podell et al. 2023,
    section 2.1).
    """

    name = "clip_text"

    encoders: Annotated[tuple[ClipEncoder, ...], Field(min_length=1)]
    """The text towers, in the order in which their widths add up."""
    chunks: PositiveInt = 1
    """How many rows of the towers' context every prompt is given, each with a start and an end of its own. CLIP's
    context of 77 holds 75 tokens, so that 3 chunks hold 225. Pooled vectors are those of the first."""
    overflow: Literal["refuse", "truncate"] = "refuse"
    """A prompt for which that is too little is refused, or cut with a warning that says what is lost."""
    null_condition: Literal["empty", "zeros"] = "empty"
    """What stands where there is no prompt: what the towers make of an empty one, or zeros (Stable Diffusion XL without
    a negative prompt)."""
    cleaning: Literal["nfc", "ftfy"] = "nfc"
    """What is done to a prompt before CLIP's tokenizer reads it. `nfc` puts it in lower case with composed letters,
    like transformers, and so Stable Diffusion's pipelines; `ftfy` also mends wrongly decoded text, straightens quotes
    and reads HTML entities, like OpenAI and open_clip."""
    trained: bool = False
    """Whether the towers are trained with the backbone. Else they are frozen and each prompt is encoded once."""
    remembered: NonNegativeInt = 256
    """How many prompts' conditions a frozen encoder keeps. Stable Diffusion's take 230 KB each, XL's 630 KB."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        small = TextArchitecture(width=16, heads=2, layers=2, embed_dim=12, context_length=9)
        quick = TextArchitecture(width=8, heads=2, layers=2, embed_dim=4, context_length=9, quick_gelu=True)
        return (
            cls(encoders=(ClipEncoder(architecture=quick, pad="end"),), dropout=0.1),
            cls(
                encoders=(
                    ClipEncoder(architecture=quick, layer="penultimate", final_norm=False, pad="end"),
                    ClipEncoder(architecture=small, layer="penultimate", final_norm=False, pooled=True),
                ),
                chunks=2,
                null_condition="zeros",
            ),
            cls(encoders=(ClipEncoder(architecture=small, tokens=False, pooled=True),), trained=True),
        )

    @model_validator(mode="after")
    def _side_by_side(self) -> Self:
        lengths = {one.published.context_length for one in self.encoders if one.tokens}
        if len(lengths) > 1:
            raise ValueError(
                f"encoders with contexts of {' and '.join(map(str, sorted(lengths)))} tokens cannot stand side by side"
            )
        foreign = next((one.published.tokenizer for one in self.encoders if one.published.tokenizer), None)
        if foreign is not None and self.chunks > 1:
            raise ValueError(
                f"chunks are made of CLIP's own tokens, and {foreign.name} makes others; leave 1"
            )
        return self

    def info(self, setting: Setting) -> ConditionInfo:
        return ConditionInfo(
            tokens=sum(encoder.token_width for encoder in self.encoders),
            vector=sum(encoder.pooled_width for encoder in self.encoders),
        )

    def parse(self, text: str) -> str:
        return self.check(text)

    def check(self, raw: Any) -> str:
        """The prompt. Raises ValueError when it is no text, has no tokens, or has too many and may not be cut."""
        prompt = checked(raw)
        too_long = self.lost(prompt)
        if too_long is not None and self.overflow == "refuse":
            raise ValueError(too_long)
        return prompt

    def lost(self, raw: Any) -> str | None:
        """The end of a prompt of more tokens than there is room for."""
        from diffloom_clip.overflow import overflow

        for encoder in self.encoders:
            tokens = encoder.words(cleaning=self.cleaning).tokens(raw, chunks=self.chunks)
            if tokens.cut:
                return overflow(raw, tokens, chunks=self.chunks)
        return None

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        """A `ClipTextEncoder`."""
        from diffloom_clip.encoder import ClipTextEncoder

        return ClipTextEncoder(
            towers=[encoder.build(cleaning=self.cleaning) for encoder in self.encoders],
            chunks=self.chunks,
            truncate=self.overflow == "truncate",
            null_condition=self.null_condition,
            trained=self.trained,
            remembered=self.remembered,
        )

    def weighted(self, module: nn.Module) -> Iterator[tuple[Weighted, nn.Module]]:
        """Each encoder with its tower."""
        from diffloom_clip.encoder import ClipTextEncoder

        assert isinstance(module, ClipTextEncoder)
        yield from zip(self.encoders, module.towers, strict=True)

    @classmethod
    def bridges(cls) -> Iterable[Bridge]:
        from diffloom_clip.open_clip_bridge import OpenClipCustomText, OpenClipText
        from diffloom_clip.transformers_bridge import TransformersBareText, TransformersText

        return (OpenClipText(), OpenClipCustomText(), TransformersText(), TransformersBareText())

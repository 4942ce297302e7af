"""The configuration of one text tower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt, field_validator, model_validator

from diffloom.kinds import Weighted
from diffloom_clip.architecture import TextArchitecture, from_file, named

if TYPE_CHECKING:
    from typing import Self

    from diffloom_clip.tower import ClipTower
    from diffloom_clip.words import Words


class ClipEncoder(Weighted):
    """A text tower and what is read off it.

    `weights` may also be one of open_clip's own tags for its architecture (`openai`, `laion2b_s32b_b79k`), which
    open_clip downloads.
    """

    architecture: str | TextArchitecture
    """A name of open_clip's (`ViT-L-14-quickgelu`), a model file in its form (`./mine.json`), which is read once and
    for all, or the tower's own fields."""
    depth: PositiveInt | None = None
    """How many of its blocks are built; null builds all. The last of 24 serves Stable Diffusion 2.x for nothing."""
    layer: Literal["last", "penultimate"] = "last"
    """Behind which block the tokens are taken."""
    final_norm: bool = True
    """Whether they go through the final normalisation. Stable Diffusion XL leaves it out."""
    tokens: bool = True
    """Whether the backbone reads its tokens, to attend to."""
    pooled: bool = False
    """Whether it reads the pooled vector of the whole prompt, projected; else the projection is not built."""
    pad: Literal["zero", "end"] = "zero"
    """What fills a row up behind the end of the prompt, and is attended to like words: token 0 (open_clip, and so
    Stable Diffusion 2.x and the second encoder of XL), or the end again (Stable Diffusion 1.x and XL's first)."""

    @field_validator("architecture")
    @classmethod
    def _is_there(cls, value: str | TextArchitecture) -> str | TextArchitecture:
        if isinstance(value, TextArchitecture):
            return value
        if value.endswith(".json"):
            return from_file(value)  # a checkpoint then knows its architecture without that file
        named(value)
        return value

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        published = self.published
        if not (self.tokens or self.pooled):
            raise ValueError("tokens and pooled are both false, and nothing is left of it to read")
        if self.depth is not None and self.depth > published.layers:
            raise ValueError(f"depth {self.depth} is more than the {published.layers} blocks there are")
        if self.layer == "penultimate" and (self.depth or published.layers) < 2:
            raise ValueError("a single block has none before it; take layer: last")
        return self

    @property
    def published(self) -> TextArchitecture:
        """The whole tower."""
        return named(self.architecture) if isinstance(self.architecture, str) else self.architecture

    @property
    def token_width(self) -> int:
        """Of its tokens; 0 when they are not read."""
        return self.published.width if self.tokens else 0

    @property
    def pooled_width(self) -> int:
        """Of its pooled vector; 0 when it is not read."""
        return self.published.pooled_width if self.pooled else 0

    def located(self) -> str | None:
        """As of every part with weights; a tag of open_clip's is downloaded, and stands as its file."""
        if self.weights is None or not isinstance(self.architecture, str):
            return self.weights
        from diffloom_clip.pretrained import downloaded

        return downloaded(self.architecture, self.weights, quick_gelu=self.published.quick_gelu)

    def words(self, *, cleaning: Literal["nfc", "ftfy"]) -> Words:
        """Its tokenizer."""
        from diffloom_clip.words import ClipWords, HubWords

        published = self.published
        if published.tokenizer is not None:
            return HubWords(context_length=published.context_length, tokenizer=published.tokenizer)
        return ClipWords(context_length=published.context_length, cleaning=cleaning, pad=self.pad)

    def build(self, *, cleaning: Literal["nfc", "ftfy"] = "nfc") -> ClipTower:
        """The tower, with random weights."""
        from diffloom_clip.tower import ClipTower

        return ClipTower(
            architecture=self.published,
            words=self.words(cleaning=cleaning),
            depth=self.depth,
            tokens=self.tokens,
            pooled=self.pooled,
            layer=self.layer,
            final_norm=self.final_norm,
        )

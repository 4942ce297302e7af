"""Component `transformer_text`: what a YAML file says of it. Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt, field_validator, model_validator

from diffloom.errors import DataError
from diffloom.kinds import Codec, Conditioner, ConditionInfo, DataInfo, Setting, Weighted
from diffloom_text.learning import learned
from diffloom_text.tokenizer import MISSING, Tokenizer, tokenizer_of
from diffloom_text.tokenizer_file import read_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from torch import nn

    from diffloom.bridge import Bridge


class TransformerText(Weighted, Conditioner):
    """A prompt through a transformer that is trained with the denoiser (Rombach et al. 2022).

    The paper's, for text-to-image on LAION-400M, has `width: 1280`, `layers: 32` and otherwise the defaults, over
    BERT's vocabulary without capitals. A network of one's own needs no file: its vocabulary of byte pairs, which can
    spell every text, is learned from the captions of the data.
    """

    name = "transformer_text"

    width: PositiveInt
    """Width of the tokens that the backbone reads."""
    layers: PositiveInt
    """Blocks of attention and feed-forward."""
    heads: PositiveInt = 8
    """Heads of each attention."""
    head_channels: PositiveInt = 64
    """Width of one head; heads · head_channels need not be `width`."""
    length: PositiveInt = 77
    """How many entries of the vocabulary a prompt may have, with its beginning and end; shorter ones are filled up."""
    vocabulary: PositiveInt = 30522
    """How many entries are embedded. A vocabulary learned from captions has at most so many, and 259 at least; what it
    has in the end then stands here."""
    tokenizer: str | None = None
    """How text becomes entries: a file, which is read at once (a `tokenizer.json` of the library `tokenizers`, or
    BERT's `vocab.txt` without capitals), or its JSON, which is what travels with the weights. null learns it from the
    captions."""
    masked: bool = False
    """Whether what fills a prompt up is hidden from attention; the paper's network attends to it."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        words = learned(["a full moon", "a dark sky", "a full sky"], entries=300)
        small = cls(width=12, layers=2, heads=2, head_channels=4, length=16, tokenizer=words, dropout=0.1)
        return (small, small.model_copy(update={"masked": True, "vocabulary": 400}))

    @classmethod
    def bridges(cls) -> Iterable[Bridge]:
        from diffloom_text.bridges import DiffusersText, LDMText

        return (LDMText(), DiffusersText())

    @field_validator("tokenizer")
    @classmethod
    def _content(cls, value: str | None) -> str | None:
        if value is None or value.startswith("{"):
            return value
        return read_tokenizer(Path(value).expanduser())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.tokenizer is None:
            return self
        known = tokenizer_of(self.tokenizer)
        if known.entries > self.vocabulary:
            raise ValueError(f"the tokenizer has {known.entries} entries; set `vocabulary` to that, or more")
        empty = known.count("")
        if empty >= self.length:
            raise ValueError(
                f"the beginning and end of a prompt fill its `length` of {self.length}; set it higher"
            )
        if self.masked and not empty:
            raise ValueError(
                "the empty prompt has no entries with this tokenizer, so there is nothing to attend to when what fills "
                "it up is hidden; set `masked: false`"
            )
        return self

    def learn(self, key: str, data: DataInfo) -> Self:
        """With a vocabulary of the data's captions, unless there is one.

        Raises DataError when the data tell no captions for `key` to learn from, or some that the model cannot read.
        """
        captions = data.captions.get(key)
        if captions is None:
            if self.tokenizer is not None:
                return self  # the vocabulary is known, and captions are checked as they come
            there = ", ".join(data.captions) or "none at all"
            raise DataError(
                f"conditioners.{key}: the data tell no captions called {key!r} to learn a vocabulary from (they tell: "
                f"{there}); name the conditioner after one of these, or set `tokenizer` to a file"
            )
        complete = self._learned(key, captions) if self.tokenizer is None else self
        complete._require_readable(key, captions)
        return complete

    def _learned(self, key: str, captions: Sequence[str]) -> Self:
        if self.weights is not None:
            raise DataError(
                f"conditioners.{key}: the weights of {self.weights} know a vocabulary of their own; set `tokenizer` to "
                "its file"
            )
        try:
            content = learned(captions, entries=self.vocabulary)
        except ValueError as error:
            raise DataError(f"conditioners.{key}: {error}; set `vocabulary` higher") from error
        return self.model_copy(update={"tokenizer": content, "vocabulary": tokenizer_of(content).entries})

    def _require_readable(self, key: str, captions: Sequence[str]) -> None:
        counts = {caption: self._known.count(caption) for caption in dict.fromkeys(captions)}
        longest = max(counts, key=lambda caption: counts[caption])
        if counts[longest] > self.length:
            many = sum(count > self.length for count in counts.values())
            raise DataError(
                f"conditioners.{key}: {many} of {len(counts)} captions have more entries than `length` "
                f"{self.length}; the longest has {counts[longest]}: {longest!r}; set `length` to that, or shorten them"
            )
        try:
            for caption in counts:
                self.check(caption)
        except ValueError as error:
            raise DataError(f"conditioners.{key}: the caption {caption!r}: {error}") from error

    @property
    def _known(self) -> Tokenizer:
        if self.tokenizer is None:
            raise ValueError(MISSING)
        return tokenizer_of(self.tokenizer)

    def info(self, setting: Setting) -> ConditionInfo:
        return ConditionInfo(tokens=self.width)

    def parse(self, text: str) -> str:
        return self.check(text)

    def check(self, raw: Any) -> str:
        return self._known.check(raw, length=self.length)

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        """A `TextEncoder`; without a vocabulary it has its weights and reads no prompt."""
        from diffloom_text.encoder import TextEncoder
        from diffloom_text.transformer import TextTransformer

        transformer = TextTransformer(
            vocabulary=self.vocabulary,
            length=self.length,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            head_channels=self.head_channels,
        )
        return TextEncoder(
            transformer=transformer,
            tokenizer=None if self.tokenizer is None else self._known,
            length=self.length,
            masked=self.masked,
        )

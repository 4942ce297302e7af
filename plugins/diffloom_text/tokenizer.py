"""How text becomes entries of a vocabulary. Needs the library `tokenizers` and no torch."""

from __future__ import annotations

import json
import warnings
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

MISSING = (
    "the vocabulary is not known: train on captioned data to learn one, or set `tokenizer` to the file of the one that "
    "the weights were trained with"
)
"""Why a model without a tokenizer reads no prompt."""
SHOWN = 60
"""How many characters of a prompt a message quotes."""


class Tokenizer:
    """The library's, from its JSON, asked in our words."""

    def __init__(self, content: str) -> None:
        """Raises ValueError when the JSON is no tokenizer, or names no entry to fill prompts up with."""
        self.library = library_tokenizer(content)
        self.content = content
        padding = self.library.padding
        if padding is None:
            raise ValueError("the tokenizer names no entry that fills prompts up (`padding` in its JSON)")
        self.padding: int = padding["pad_id"]

    @property
    def entries(self) -> int:
        """How many entries the vocabulary has."""
        return int(self.library.get_vocab_size())

    def ids(self, text: str) -> list[int]:
        """The entries that a prompt is made of, with those that begin and end it."""
        return list(self.library.encode(text).ids)

    def count(self, text: str) -> int:
        """How many entries a prompt is made of, with those that begin and end it."""
        return len(self.library.encode(text).ids)

    def check(self, raw: Any, *, length: int) -> str:
        """The prompt, without white space around it. Warns of characters that the vocabulary cannot tell.

        Raises ValueError for what is not text, has no words, or is of more than `length` entries.
        """
        if not isinstance(raw, str):
            raise ValueError(f"a prompt is a text, not {raw!r}")
        prompt = raw.strip()
        if not prompt:
            raise ValueError("the prompt is empty; for pictures of no prompt, leave it out")
        try:
            encoding = self.library.encode(prompt)
        except TypeError as error:
            raise ValueError(f"the prompt {prompt!r} holds half a character (a surrogate)") from error
        words = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
        if not words:
            raise ValueError(
                f"the prompt {prompt!r} has no entries in the vocabulary; for pictures of no prompt, leave it out"
            )
        marker = next(
            (encoding.tokens[place] for place in words if encoding.ids[place] in self.markers), None
        )
        if marker is not None:
            raise ValueError(
                f"the prompt holds {marker}, which is no word but a mark of the vocabulary; take it out"
            )
        if (excess := len(encoding.ids) - length) > 0:
            lost = (
                prompt[encoding.offsets[words[len(words) - excess]][0] :] if excess < len(words) else prompt
            )
            raise ValueError(
                f"the prompt has {len(encoding.ids)} entries with its beginning and end, and the model reads {length}; "
                f"this would be lost: {_quoted(lost.strip())}; shorten it"
            )
        unknown = [
            prompt[slice(*encoding.offsets[place])] for place in words if encoding.ids[place] == self.unknown
        ]
        if unknown:
            told = ", ".join(map(repr, dict.fromkeys(unknown)))
            warnings.warn(f"the vocabulary does not know {told}: read as one unknown word", stacklevel=2)
        return prompt

    @cached_property
    def markers(self) -> frozenset[int]:
        """Entries that are no words: what begins, ends and fills up a prompt."""
        added = self.library.get_added_tokens_decoder()
        return frozenset(index for index, token in added.items() if token.special) - {self.unknown}

    @cached_property
    def unknown(self) -> int | None:
        """The entry that stands for all that the vocabulary cannot tell; none where it can tell every text."""
        model = json.loads(self.content)["model"]
        if model.get("unk_token") is not None:
            return self.library.token_to_id(model["unk_token"])
        unknown: int | None = model.get("unk_id")
        return unknown


def library_tokenizer(content: str) -> tokenizers.Tokenizer:
    """The library's tokenizer. Raises ValueError when the JSON describes none."""
    import tokenizers

    try:
        return tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"not a tokenizer's JSON: {error}") from error


@lru_cache(maxsize=8)
def tokenizer_of(content: str) -> Tokenizer:
    """The tokenizer of a JSON, read once. Raises ValueError when it is none."""
    return Tokenizer(content)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")

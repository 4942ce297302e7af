"""Prompts → rows of token ids."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from diffloom.errors import DiffloomError
from diffloom_clip.architecture import HubTokenizer
from diffloom_clip.library import open_clip

Cleaning = Literal["nfc", "ftfy"]
Pad = Literal["zero", "end"]


@dataclass(frozen=True)
class Tokens:
    """A prompt as the tower reads it."""

    rows: tuple[tuple[int, ...], ...]
    """One for each chunk, all as long as the tower's context."""
    count: int
    """How many tokens the whole prompt has, without starts and ends."""
    cut: int
    """How many of them these rows have no room for, from the end."""
    lost: str
    """What those say."""


class Words(Protocol):
    """A tower's tokenizer."""

    def tokens(self, prompt: str, *, chunks: int) -> Tokens:
        """The prompt in so many chunks. Raises ValueError when nothing of it is left after cleaning."""
        ...


def composed(text: str) -> str:
    """Letters composed (NFC) and in lower case: what transformers' tokenizer of CLIP does to a text.

    Letter by letter, so that a sigma at the end of a word is one as any other, as there.
    """
    return "".join(letter.lower() for letter in unicodedata.normalize("NFC", text))


class ClipWords:
    """CLIP's byte-pair encoding. Every chunk has its own start and end, and is filled up with `pad`."""

    def __init__(self, *, context_length: int, cleaning: Cleaning = "nfc", pad: Pad = "zero") -> None:
        self.context_length = context_length
        self.encoding = _encoding(cleaning)
        self.pad_id = self.encoding.eot_token_id if pad == "end" else 0

    def tokens(self, prompt: str, *, chunks: int) -> Tokens:
        ids = self.encoding.encode(prompt)
        if prompt and not ids:
            raise ValueError(f"the prompt {prompt!r} has no tokens; for pictures of no prompt, leave it out")
        room = self.context_length - 2
        rows = tuple(self._row(ids[i * room : (i + 1) * room]) for i in range(chunks))
        lost = ids[chunks * room :]
        return Tokens(rows=rows, count=len(ids), cut=len(lost), lost=self.encoding.decode(lost).strip())

    def _row(self, ids: list[int]) -> tuple[int, ...]:
        row = (self.encoding.sot_token_id, *ids, self.encoding.eot_token_id)
        return row + (self.pad_id,) * (self.context_length - len(row))


class HubWords:
    """A tokenizer of the transformers library, called as open_clip calls it; it makes one chunk."""

    def __init__(self, *, context_length: int, tokenizer: HubTokenizer) -> None:
        self.context_length = context_length
        self.tokenizer = tokenizer

    def tokens(self, prompt: str, *, chunks: int) -> Tokens:
        assert chunks == 1, "its starts and ends are its own affair, so that it is asked for one row only"
        tokenizer = _hub_tokenizer(self.tokenizer)  # not before: building a tower takes no download
        (row,) = tokenizer([prompt], context_length=self.context_length).tolist()
        clean, inner = tokenizer.clean_fn(prompt), tokenizer.tokenizer
        ids = inner(clean, add_special_tokens=False).input_ids
        if prompt and not ids:
            raise ValueError(f"the prompt {prompt!r} has no tokens; for pictures of no prompt, leave it out")
        cut = max(len(inner(clean).input_ids) - self.context_length, 0)
        lost = inner.decode(ids[len(ids) - cut :])
        return Tokens(rows=(tuple(row),), count=len(ids), cut=cut, lost=lost)


@functools.cache
def _encoding(cleaning: Cleaning) -> Any:
    """open_clip's tokenizer."""
    tokenizer = open_clip().tokenizer
    encoding = tokenizer.SimpleTokenizer()
    if cleaning == "nfc":
        clean: Callable[[str], str] = composed  # white space needs no care: no token holds any
        encoding.clean_fn = clean
        # Its pattern ignores case, which after that means only that a long s (ſ) were an s and a iota below (U+0345) a
        # letter. Without, all tokens are transformers', but for marks younger than the Unicode that one composes by.
        encoding.pat = tokenizer.re.compile(encoding.pat.pattern)
    return encoding


@functools.cache
def _hub_tokenizer(tokenizer: HubTokenizer) -> Any:
    options = {"clean": tokenizer.clean, "strip_sep_token": tokenizer.strip_sep_token}
    try:
        return open_clip().tokenizer.HFTokenizer(tokenizer.name, **options)
    except ModuleNotFoundError as error:
        raise DiffloomError(
            f"the tokenizer {tokenizer.name} needs {error.name}; install it with `pip install {error.name}`"
        ) from error
    except (OSError, ValueError) as error:
        raise DiffloomError(f"the tokenizer {tokenizer.name} cannot be read: {error}") from error

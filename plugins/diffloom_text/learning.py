"""A vocabulary learned from captions: byte pairs (Sennrich et al. 2016; on bytes, Radford et al. 2019)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PADDING, START, END = SPECIAL = ("⟨pad⟩", "⟨start⟩", "⟨end⟩")
"""The first entries. The letters by which bytes are written have no such brackets, so no text can spell them."""
SMALLEST = len(SPECIAL) + 256
"""The vocabulary of which every text is made: each byte is an entry."""


def learned(captions: Sequence[str], *, entries: int) -> str:
    """The JSON of a tokenizer with at most so many entries; equal captions, in any order, give equal ones.

    Capitals are read as small letters, and a word is the same at the beginning of a text as inside it. Pairs that occur
    once are not joined. Raises ValueError for fewer entries than there are bytes.
    """
    if entries < SMALLEST:
        raise ValueError(f"a vocabulary of bytes has at least {SMALLEST} entries, not {entries}")
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=entries,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    with one_thread():
        tokenizer.train_from_iterator(captions, trainer, length=len(captions))
    # As added tokens the library would find them in the text of a prompt too.
    content = json.loads(tokenizer.to_str()) | {"added_tokens": []}
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[START, "$A", END], special_tokens=[(name, SPECIAL.index(name)) for name in (START, END)]
    )
    tokenizer.enable_padding(pad_id=SPECIAL.index(PADDING), pad_token=PADDING)
    return str(tokenizer.to_str())


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the library from using threads: once it has, it warns in every process that reads examples ahead."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

"""A tokenizer's file → its JSON."""

from __future__ import annotations

import re
from pathlib import Path

from diffloom_text.tokenizer import library_tokenizer

PADDINGS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")
"""What vocabularies call the entry that fills prompts up, where their file does not say."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""What BERT's vocabularies have beside words."""


def read_tokenizer(path: Path) -> str:
    """The JSON of a tokenizer that a file describes: a JSON of the library `tokenizers`, or BERT's `vocab.txt`.

    It never cuts off what is too long. Raises ValueError for files that are missing or describe none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise ValueError(
            f"{path}: cannot be read: {reason}; give a tokenizer.json or a vocab.txt, from the current directory"
        ) from error
    try:
        return _with_padding(text) if text.lstrip().startswith("{") else _word_pieces(text.splitlines())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _with_padding(content: str) -> str:
    tokenizer = library_tokenizer(content)
    tokenizer.no_truncation()
    known = tokenizer.padding
    names = (
        [known["pad_token"]]
        if known
        else [name for name in PADDINGS if tokenizer.token_to_id(name) is not None]
    )
    if not names:
        raise ValueError(
            f"has no `padding`, and none of the entries {', '.join(PADDINGS)} that could fill prompts up"
        )
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(names[0]), pad_token=names[0])
    return str(tokenizer.to_str())


def _word_pieces(entries: list[str]) -> str:
    """BERT's WordPiece without capitals (Devlin et al. 2019), of the lines of its vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {entry: index for index, entry in enumerate(entries)}
    lacking = [name for name in SPECIAL if name not in ids]
    if lacking:
        raise ValueError(f"not a BERT vocabulary of one entry in each line: it has no {', '.join(lacking)}")
    if len(ids) < len(entries):
        twice = next(entry for index, entry in enumerate(entries) if ids[entry] != index)
        raise ValueError(f"the entry {twice!r} stands twice")
    if any(re.search("[A-Z]", entry) for entry in entries if not entry.startswith("[")):
        raise ValueError("a vocabulary with capitals; give its tokenizer.json, which says how they are read")
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.enable_padding(pad_id=ids["[PAD]"], pad_token="[PAD]")
    return str(tokenizer.to_str())

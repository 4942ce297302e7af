"""CLIP's byte-pair encoding as the files that transformers reads it from."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

from diffloom.bridge.export.whole_folder import json_text
from diffloom.errors import DiffloomError

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2
"""How many of the file's merges CLIP uses: its vocabulary without the bytes and the two marks."""


def clip_words(*, pad: str, length: int) -> dict[str, str]:
    """File name → text: vocabulary, merges, and how texts are marked and filled up to `length`.

    Radford et al. 2019, section 2.2, name bytes by printable letters; Radford et al. 2021 mark a word's end by `</w>`.
    Raises DiffloomError when open_clip, which brings the encoding, is missing.
    """
    merges = _merges()
    letters = list(_letters())
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(merge.replace(" ", "") for merge in merges),
    ]
    vocabulary = {word: index for index, word in enumerate([*words, START, END])}
    special = {
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END if pad == "end" else "!",
    }
    return {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
        "special_tokens_map.json": json_text(special),
        "tokenizer_config.json": json_text(
            {**special, "do_lower_case": True, "model_max_length": length, "tokenizer_class": "CLIPTokenizer"}
        ),
    }


def _merges() -> list[str]:
    found = importlib.util.find_spec("open_clip")
    if found is None or not found.submodule_search_locations:
        raise DiffloomError("CLIP's words come with open_clip; install it with `pip install open_clip_torch`")
    file = Path(next(iter(found.submodule_search_locations))) / "bpe_simple_vocab_16e6.txt.gz"
    return gzip.decompress(file.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]


def _letters() -> list[str]:
    """A printable letter for each byte, in the vocabulary's order: printable bytes themselves, then the others."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(others)]

"""What may stand in a prompt."""

from __future__ import annotations

import re
from typing import Any

MARKERS = re.compile(r"<\|startoftext\|>|<\|endoftext\|>|<start_of_text>|<end_of_text>", re.IGNORECASE)
"""How tokenizers write the start and the end of a text: within a prompt they would begin or end it early."""


def checked(raw: Any) -> str:
    """The prompt itself. Raises ValueError when it is no text, or one that no tokenizer reads."""
    if not isinstance(raw, str):
        raise ValueError(f"a prompt is a text, not {raw!r}")
    if not raw.strip():
        raise ValueError("the prompt is empty; for pictures of no prompt, leave it out")
    marker = MARKERS.search(raw)
    if marker:
        raise ValueError(f"the prompt holds {marker[0]}, which would begin or end it there; take it out")
    if any("\ud800" <= letter <= "\udfff" for letter in raw):
        raise ValueError(f"the prompt {raw!r} holds half a character (a surrogate)")
    return raw

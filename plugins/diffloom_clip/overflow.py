"""What is said of a prompt for which there is no room."""

from __future__ import annotations

from diffloom_clip.words import Tokens


def overflow(prompt: str, tokens: Tokens, *, chunks: int) -> str:
    """What does not fit, and what to do. `tokens.cut` is above 0."""
    fits = "one chunk" if chunks == 1 else f"{chunks} chunks"
    return (
        f"the prompt {_short(prompt)!r} has {tokens.count} tokens, more than {fits} can hold; "
        f"this would be cut off: {_short(tokens.lost)!r} (shorten it, give the conditioner more `chunks`, "
        "or let it cut with `overflow: truncate`)"
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]} … {text[-15:]}"

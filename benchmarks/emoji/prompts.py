"""Which prompts are drawn, and what counts as a word of theirs."""

import re
from collections.abc import Sequence

import numpy as np

EMPTY = frozenset(
    {"a", "and", "at", "done", "down", "for", "in", "not", "of", "on", "the", "to", "up", "with"}
    | {"skin", "tone", "light", "medium-light", "medium", "medium-dark", "dark"}
)
"""Words that say little of what is drawn, or, like skin tones, are in half of the captions."""

COLOURS = frozenset(
    {"red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "black", "white"}
)


def words(caption: str) -> frozenset[str]:
    """The telling words of a caption, in lower case."""
    return frozenset(re.findall(r"[\w’'-]+", caption.lower())) - EMPTY


def known(captions: Sequence[str], count: int, *, seed: int) -> list[str]:
    """Captions of the training pictures, those with a skin tone aside."""
    plain = [caption for caption in captions if "skin tone" not in caption and words(caption)]
    order = np.random.default_rng(seed).permutation(len(plain))
    return [plain[i] for i in order[:count]]


def recombined(captions: Sequence[str], count: int, *, seed: int) -> list[str]:
    """New captions of two known words: the colour of "red envelope" and the thing of "green apple", where no caption
    says "red apple".
    """
    pairs = {tuple(caption.split()) for caption in captions if len(caption.split()) == 2}
    coloured = {pair for pair in pairs if pair[0] in COLOURS}
    things = sorted({thing for _, thing in coloured} - COLOURS)
    new = [
        f"{colour} {thing}" for colour in sorted(COLOURS) for thing in things if (colour, thing) not in pairs
    ]
    order = np.random.default_rng(seed).permutation(len(new))
    return [new[i] for i in order[:count]]

"""When blocks are faster than torch's kernel on a CPU. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Size


@dataclass(frozen=True)
class Rule:
    """Heads at most so wide, looking at most at so many keys: how their blocks lie."""

    widest: int
    most_keys: int
    keys_first: bool


RULES = (
    Rule(widest=8, most_keys=2**62, keys_first=True),
    Rule(widest=160, most_keys=128, keys_first=False),
)
"""In this order; where none fits, torch's kernel is as fast or faster.

Source: `python -m benchmarks.speed attention`, one thread of an Intel Xeon (Sapphire Rapids), torch 2.13, float32. How
much faster than torch's kernel blocks are: at width 8, 1024 queries and keys, 1.5, but 1.05 at width 16 and 0.8 there
among 256 keys; for 1024 queries and 77 keys 2.4 at width 8, 1.6 at 40, 1.4 at 64, 1.15 at 160.
"""
LEAST_SCORES = 2**15
"""Of one picture: below, what the steps of a block cost by themselves is no longer small beside what they compute."""


def rule_of(q_BNLD: Size, k_BNMD: Size) -> Rule | None:
    """The rule of operands of these shapes; None where torch's kernel shall compute."""
    _, heads, queries, width = q_BNLD
    keys = k_BNMD[2]
    if heads * queries * keys < LEAST_SCORES:
        return None
    return next((rule for rule in RULES if width <= rule.widest and keys <= rule.most_keys), None)

"""When another way is faster than torch's kernel on a CPU. Legend: B batch, N heads, L queries, M keys, D head width.

Both rules look at one picture, which is then computed the same way alone and in a batch; and at no number of threads:
what is told holds where torch has one, where each of two has a picture of its own, and where two divide one picture.

Source: `python -m benchmarks.speed attention`, and other shapes in the same way: float32 on two cores of an Intel Xeon
(Sapphire Rapids), torch 2.13; how much faster than torch's kernel, by the clock that shows less of it, the process's or
the wall's.
"""

from __future__ import annotations

from torch import Size

from diffloom_attention.padded import VECTOR

FEW_KEYS = 160
"""Keys to fill up. 1024 queries of width 40 gain 1.55 among 77 keys, 1.2 among 154 (two prompts' chunks), less than 1.1
from 231 on, and lose among 1000. With gradients, 1.2 to 1.4 among 77."""
LEAST_REST = 6
"""Keys more than a multiple of `VECTOR`. 70 keys gain 1.3, 68 1.05; 66 lose."""
LEAST_FILLED = 2**16
"""Scores: below, copying the keys may cost what is gained. 8 heads of 256 queries among 77 keys gain 1.9 at width 16
and 1.1 at 160; of 64 queries, 1.4 at width 32 and 0.85 at 160."""
NARROW = 8
"""Widest heads to compute in blocks. By one thread 1024 queries and keys gain 1.5 at width 8, 1.08 at 16."""
LEAST_IN_BLOCKS = 2**23
"""Scores: below, calling torch for a block costs what is gained, where two threads wait for Python's lock in turns. 8
narrow heads of 1024 queries and keys gain 1.15 to 1.3 by two threads, of 2048 1.45; of 512 they lose, though by one
thread they gain 1.35."""


def blocks_pay(q_BNLD: Size, k_BNMD: Size) -> bool:
    """Whether `blocked_attention` is faster: for narrow heads."""
    _, heads, queries, width = q_BNLD
    return width <= NARROW and heads * queries * k_BNMD[2] >= LEAST_IN_BLOCKS


def filling_pays(q_BNLD: Size, k_BNMD: Size) -> bool:
    """Whether `padded_attention` is faster: among few keys, a prompt's 77 tokens."""
    _, heads, queries, _ = q_BNLD
    keys = k_BNMD[2]
    return keys <= FEW_KEYS and keys % VECTOR >= LEAST_REST and heads * queries * keys >= LEAST_FILLED

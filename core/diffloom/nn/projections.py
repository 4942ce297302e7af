"""What residual blocks make of the embedding, computed for all times of a walk before it.

Legend: E embedding width, T times, R rows: one for each picture, or one for all; K numbers that a projection gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import c_float
from typing import Any

import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn.ready_blocks import ReadyResidualBlock
from diffloom.nn.residual import ResidualBlock

REMEMBERED_BYTES = 64 * 2**20
"""What they may take together; where they would take more, they are computed at every step."""


@torch.no_grad()
def remembered_projections(
    network: nn.Module, times: Sequence[float], embedding: Callable[[Tensor], Tensor], *, rows: int
) -> dict[Any, tuple[Tensor, ...]]:
    """For `Condition.memory`: the projection (R, K) of every residual block under (block, time), and what is projected,
    (R, E), under (network, time). Nothing where that would take more than `REMEMBERED_BYTES`.

    `embedding` gives the activated embeddings of `rows` pictures at times t, R of each, all pictures of the first time
    first: (T·R,) → (T·R, E). It and each projection are computed in one product. Times are those that float32 tells
    apart, as a network is shown them; a network finds its own by `the_time`.
    """
    blocks = [part for part in network.modules() if isinstance(part, ResidualBlock | ReadyResidualBlock)]
    readers = {block: block.emb for block in blocks if isinstance(block.emb, nn.Linear)}
    weights = [projection.weight for projection in readers.values()]
    if not weights:
        return {}
    numbers = sum(weight.shape[0] for weight in weights) + weights[0].shape[1]
    if not times or len(times) * rows * numbers * weights[0].element_size() > REMEMBERED_BYTES:
        return {}
    t_T = torch.tensor(times, dtype=torch.float32, device="cpu")
    emb_XE = embedding(t_T.repeat_interleave(rows).to(weights[0].device))
    made = {network: emb_XE} | {part: projection(emb_XE) for part, projection in readers.items()}
    return {
        (part, time): (row_RK,)
        for part, found_XK in made.items()
        for time, row_RK in zip(t_T.tolist(), found_XK.split(rows), strict=True)
    }


def the_time(t_B: Tensor, condition: Condition) -> float | None:
    """The one time of all rows, as float32 has it; None where they differ, and where nobody said it (`Condition.time`)
    and to know it would have a device waited for.
    """
    if condition.time is not None:
        return c_float(condition.time).value
    if t_B.device.type != "cpu":
        return None
    first, *others = t_B.tolist()
    return first if all(other == first for other in others) else None

"""The kernels of a call. Oracle: a call of which one kernel is known to take nearly all."""

from __future__ import annotations

import torch
from benchmarks.speed.kernels import kernels


def test_the_longest_comes_first() -> None:
    x, y = torch.ones(768, 768), torch.ones(4)
    (first, share), *rest = kernels(lambda: torch.mm(x, x) + (y * y).sum(), torch.device("cpu"), top=3)
    assert first == "aten::mm"
    assert share > 0.5
    assert len(rest) == 2
    assert share >= rest[0][1] >= rest[1][1]
    assert share + sum(part for _, part in rest) <= 1 + 1e-9

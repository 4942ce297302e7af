"""Stochastic gradient descent whose weight decay has no part in the momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class DecoupledSGD(torch.optim.SGD):
    """SGDW (Loshchilov & Hutter 2019, algorithm 1): torch's SGD after w ← (1 − lr·decay)·w.

    torch's own `weight_decay` is added to the gradient; here it is each group's `decay`, and torch's is 0.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool) -> None:
        described = [
            {**group, "weight_decay": 0.0, "decay": group.get("weight_decay", 0.0)} for group in groups
        ]
        super().__init__(described, lr=lr, momentum=momentum, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Shrink what decays, then follow the gradient."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["decay"] and moved:
                torch._foreach_mul_(moved, 1 - group["lr"] * group["decay"])
        loss: float | None = super().step(closure)
        return loss

"""The configurations of optimisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diffloom.kinds import Optimizer, ParameterGroup

if TYPE_CHECKING:
    import torch


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), in torch's fused form."""

    name = "adamw"

    betas: tuple[float, float] = (0.9, 0.999)
    """Momenta of the gradient and of its square."""

    def build(self, groups: Sequence[ParameterGroup], *, lr: float) -> torch.optim.Optimizer:
        import torch

        described = [
            {"params": list(group.parameters), "weight_decay": self.weight_decay if group.decays else 0.0}
            for group in groups
        ]
        return torch.optim.AdamW(described, lr=lr, betas=self.betas, fused=True)

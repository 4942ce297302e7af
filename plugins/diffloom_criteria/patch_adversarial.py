"""A rival that learns. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffloom.kinds import Reconstruction
from diffloom_criteria.discriminator import PatchDiscriminator

DELTA = 1e-4
"""Keeps the balance finite where the discriminator's gradient vanishes."""
LARGEST = 1e4
"""The balance is not above this."""


class PatchJudge(nn.Module):
    """Adversarial loss with a discriminator of patches, balanced against the criteria before it.

    Both sides learn in one optimiser step: the autoencoder through the discriminator's weights held fixed, the
    discriminator on reconstructions held fixed.
    """

    def __init__(
        self, discriminator: PatchDiscriminator, *, loss: Literal["hinge", "non_saturating"]
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.loss = loss

    def forward(self, reconstruction: Reconstruction, *, so_far: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The loss of each example, (B,): for the autoencoder, and for the discriminator."""
        fixed = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        seen = torch.func.functional_call(self.discriminator, fixed, (reconstruction.reconstructed_BCHW,))
        cost_B = self._fooling(seen)
        balance = _balance(so_far, cost_B.mean(), reconstruction.last_layer)
        real = self.discriminator(reconstruction.images_BCHW)
        made = self.discriminator(reconstruction.reconstructed_BCHW.detach())
        return balance * cost_B, self._telling(real, made)

    def _fooling(self, made_B1HW: Tensor) -> Tensor:
        """What the autoencoder minimises: reconstructions should be taken for pictures."""
        cost_B1HW = -made_B1HW if self.loss == "hinge" else functional.softplus(-made_B1HW)
        return _mean(cost_B1HW)

    def _telling(self, real_B1HW: Tensor, made_B1HW: Tensor) -> Tensor:
        """What the discriminator minimises: logits above zero for pictures, below for reconstructions."""
        below = functional.softplus if self.loss == "non_saturating" else _hinge
        return (_mean(below(-real_B1HW)) + _mean(below(made_B1HW))) / 2


def _hinge(margin: Tensor) -> Tensor:
    return functional.relu(1 + margin)


def _balance(so_far: Tensor, cost: Tensor, last_layer: Tensor) -> Tensor:
    """λ = ‖∇ so_far‖ / (‖∇ cost‖ + δ), gradients at the decoder's last layer (Esser et al. 2021, eq. 7)."""
    (towards,) = torch.autograd.grad(so_far, last_layer, retain_graph=True)
    (against,) = torch.autograd.grad(cost, last_layer, retain_graph=True)
    balance: Tensor = towards.norm() / (against.norm() + DELTA)
    return balance.clamp(max=LARGEST)


def _mean(values_B1HW: Tensor) -> Tensor:
    return values_B1HW.flatten(1).mean(1)

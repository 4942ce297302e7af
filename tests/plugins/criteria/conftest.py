"""A reconstruction as an autoencoder's decoder leaves it."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from diffloom.kinds import Reconstruction


@pytest.fixture
def reconstructed() -> Callable[..., Reconstruction]:
    """Pictures of a shape (B, C, H, W) and what a last layer, a 1×1 convolution, makes of them."""

    def make(shape: tuple[int, int, int, int], *, seed: int = 0) -> Reconstruction:
        generator = torch.Generator().manual_seed(seed)
        images = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
        hidden = images + 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        layer = torch.randn(shape[1], shape[1], 1, 1, generator=generator, dtype=torch.float64)
        layer.requires_grad_()
        made = functional.conv2d(hidden.requires_grad_(), layer)
        return Reconstruction(images, made, made.new_zeros(len(made)), layer)

    return make

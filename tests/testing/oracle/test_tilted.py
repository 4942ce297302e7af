"""What guidance follows. Oracles: the tilted density differentiated by torch; the mixture at scales 0 and 1."""

from __future__ import annotations

import pytest
import torch

from diffloom.process import Level
from diffloom.testing.closed_forms import exploding_at, flowing_at, normal, preserving_at
from diffloom.testing.oracle import GaussianMixture, Tilted

IDS = torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("scale", [-1.0, 0.0, 0.5, 1.0, 3.0, 7.5])
@pytest.mark.parametrize("level", [preserving_at(-6.0), exploding_at(0.0), flowing_at(5.0)])
def test_the_denoiser_is_the_tilted_densitys(pictures: GaussianMixture, scale: float, level: Level) -> None:
    tilted = Tilted(pictures, scale, IDS)
    x_t = ((level.alpha + level.sigma) * normal((4, 2, 2, 2))).requires_grad_()
    (gradient,) = torch.autograd.grad(tilted.log_density(x_t, level).sum(), x_t)
    found = tilted.denoise(x_t.detach(), level)
    torch.testing.assert_close(found.eps_BCHW, -level.sigma * gradient, rtol=1e-9, atol=1e-9)
    x_t = x_t.detach()
    together = level.alpha * found.x0_BCHW + level.sigma * found.eps_BCHW
    torch.testing.assert_close(together, x_t, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("scale", "ids"), [(1.0, IDS), (0.0, None)])
def test_scale_one_is_the_class_and_zero_is_all(
    pictures: GaussianMixture, scale: float, ids: torch.Tensor | None
) -> None:
    level, x_t = preserving_at(-2.0), normal((4, 2, 2, 2))
    found = Tilted(pictures, scale, IDS).denoise(x_t, level).x0_BCHW
    torch.testing.assert_close(found, pictures.denoise(x_t, level, ids).x0_BCHW, rtol=1e-12, atol=1e-12)

"""What classifier-free guidance follows, in closed form. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from diffloom.process import Denoised, Level
from diffloom.testing.oracle.mixture import GaussianMixture


@dataclass(frozen=True)
class Tilted:
    """p(x_t | class)^scale · p(x_t)^(1 − scale) at every level (Ho & Salimans 2022, section 3.2).

    At scale 1 this is the class's own mixture, and samples are distributed as it says. At other scales the tilted
    densities of two levels are not each other's diffusion, so that only the denoiser at each level is a closed form.
    """

    mixture: GaussianMixture
    scale: float
    class_B: Tensor
    """The class that each row is guided to."""

    def log_density(self, x_BCHW: Tensor, level: Level) -> Tensor:
        """Its logarithm, up to a constant, (B,)."""
        conditional = self.mixture.log_density(x_BCHW, level, self.class_B)
        return self.scale * conditional + (1 - self.scale) * self.mixture.log_density(x_BCHW, level)

    def score(self, x_BCHW: Tensor, level: Level) -> Tensor:
        """Its gradient, (B, C, H, W)."""
        conditional = self.mixture.score(x_BCHW, level, self.class_B)
        return self.scale * conditional + (1 - self.scale) * self.mixture.score(x_BCHW, level)

    def denoise(self, x_BCHW: Tensor, level: Level) -> Denoised:
        """x₀ = (x_t + sigma²·score)/alpha and ε = −sigma·score (Tweedie), in x's dtype; alpha above 0."""
        score = self.score(x_BCHW, level)
        x0 = (x_BCHW.double() + level.sigma**2 * score) / level.alpha
        return Denoised(x0_BCHW=x0.to(x_BCHW.dtype), eps_BCHW=(-level.sigma * score).to(x_BCHW.dtype))

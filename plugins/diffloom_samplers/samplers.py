"""The samplers a YAML file can name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from diffloom_samplers.ddim import DDIM
    from diffloom_samplers.ddpm import DDPM


class DDPMSampler(Sampler):
    """Ancestral sampling (Ho et al. 2020, algorithm 2), with the model's `variance`."""

    name = "ddpm"
    equation: ClassVar[str] = "x_s = μ(x_t, x̂₀) + √Var(x_s | x_t)·z, μ the posterior's mean"

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def build(self) -> DDPM:
        """The walk."""
        from diffloom_samplers.ddpm import DDPM

        return DDPM()


class DDIMSampler(Sampler):
    """Denoising diffusion implicit models (Song et al. 2020): good samples in few steps."""

    name = "ddim"
    equation: ClassVar[str] = "x_s = α_s·x̂₀ + √(σ_s² − ς²)·ε̂ + ς·z, ς = {eta}·√β̃"
    ends_early: ClassVar[bool] = True

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fresh noise at each step: 0 is deterministic, 1 is DDPM with the variance fixed_small."""

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[DDIMSampler]:
        """Without and with fresh noise."""
        return (cls(), cls(eta=0.5))

    @property
    def order(self) -> int | None:
        """1: Euler's method in sigma/alpha."""
        return None if self.stochastic else 1

    @property
    def stochastic(self) -> bool:
        """Unless eta is 0."""
        return self.eta > 0

    def build(self) -> DDIM:
        """The walk."""
        from diffloom_samplers.ddim import DDIM

        return DDIM(eta=self.eta)

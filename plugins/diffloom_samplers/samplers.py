"""The samplers a YAML file can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from diffloom_samplers.ddim import DDIM
    from diffloom_samplers.ddpm import DDPM


class DDPMSampler(Sampler):
    """Ancestral sampling (Ho et al. 2020, algorithm 2), with the model's `variance`."""

    name = "ddpm"

    def build(self) -> DDPM:
        """The walk."""
        from diffloom_samplers.ddpm import DDPM

        return DDPM()


class DDIMSampler(Sampler):
    """Denoising diffusion implicit models (Song et al. 2020): good samples in few steps."""

    name = "ddim"
    ends_early: ClassVar[bool] = True

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Fresh noise at each step: 0 is deterministic, 1 is DDPM with the variance fixed_small."""

    def build(self) -> DDIM:
        """The walk."""
        from diffloom_samplers.ddim import DDIM

        return DDIM(eta=self.eta)

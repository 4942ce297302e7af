"""Sampler `dpmpp_2m`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from diffloom.kinds import Sampler

if TYPE_CHECKING:
    from acme_moon.multistep_walk import MultistepWalk


class DPMSolverPlusPlus2M(Sampler):
    """DPM-Solver++(2M) (Lu et al. 2022): second order, deterministic, one network call a step."""

    name = "dpmpp_2m"
    starts_pure: ClassVar[bool] = False

    @property
    def order(self) -> int:
        """2."""
        return 2

    def build(self) -> MultistepWalk:
        """The walk."""
        from acme_moon.multistep_walk import MultistepWalk

        return MultistepWalk()

"""Schedule `learned`: the log-SNR is a network's, trained with the denoiser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt, model_validator

from diffloom.kinds import Schedule, SpaceInfo, TimeAxis

if TYPE_CHECKING:
    from typing import Self

    from diffloom.process.monotone import MonotoneSchedule


class LearnedSchedule(Schedule):
    """The log-SNR falls as a network of time says, which is trained with the denoiser (Kingma et al. 2021, VDM).

    Times run from 0 to 1, and the variance is preserved. The ends are parameters too, unless `fixed_ends`: with the
    simple loss alone nothing holds them, so learn them under the variational bound. lucidrains' `learned` is this.
    """

    name = "learned"

    log_snr_max: float = 13.3
    """The log-SNR at time 0, where it begins (−γ₀)."""
    log_snr_min: float = -5.0
    """The log-SNR at time 1, where it begins (−γ₁)."""
    hidden: PositiveInt = 1024
    """Units of the network's hidden layer."""
    fixed_ends: bool = False
    """Whether the ends stay where they begin."""

    @classmethod
    def specimens(cls, folder: Path) -> tuple[Self, ...]:
        return (cls(hidden=16), cls(hidden=8, log_snr_max=6.0, fixed_ends=True))

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.log_snr_min >= self.log_snr_max:
            raise ValueError(
                f"log_snr_max {self.log_snr_max:g} must lie above log_snr_min {self.log_snr_min:g}"
            )
        return self

    @property
    def axis(self) -> TimeAxis:
        """From 0 to 1."""
        return TimeAxis(0.0, 1.0, None)

    def build(self, *, space: SpaceInfo | None = None) -> MonotoneSchedule:
        """The schedule, an `nn.Module` with fresh weights."""
        from diffloom.process.monotone import MonotoneSchedule

        return MonotoneSchedule(
            log_snr_max=self.log_snr_max,
            log_snr_min=self.log_snr_min,
            hidden=self.hidden,
            fixed_ends=self.fixed_ends,
        )

"""The noise schedule as a table of ᾱ, in float64. Everything else (alpha, sigma, log-SNR) follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.process.path import PathSchedule, Preserving
from diffloom.process.types import CLEAN, Level


class TableSchedule(PathSchedule):
    """A variance-preserving schedule, alpha² + sigma² = 1, given by its table ᾱ₁ … ᾱ_T.

    Time t = 0 … T−1 is the table's index. Times between two indices take the linear interpolation of their
    log-SNR, or of alpha where the second has no signal left; t = −1 is clean. Every other time is a ValueError.
    Tables and results are float64 and stay on the CPU: cast what you need, once.
    """

    path = Preserving()

    def __init__(self, alpha_bar: Sequence[float] | np.ndarray | Tensor) -> None:
        """`alpha_bar`: the table, strictly falling, in [0, 1). Raises ValueError for any other."""
        table = torch.as_tensor(alpha_bar, dtype=torch.float64).detach().cpu()
        if table.dim() != 1 or len(table) == 0:
            raise ValueError(f"a schedule is a list of ᾱ, not an array of shape {tuple(table.shape)}")
        rows = torch.cat([torch.ones(1, dtype=torch.float64), table])  # row 0 is clean, row t + 1 is time t
        if not bool((rows.diff() < 0).all() and rows[-1] >= 0):  # NaN fails this too
            raise ValueError("ᾱ must fall from below 1 at every step and stay at or above 0")
        self._alpha_bar = rows
        self._alpha = rows.sqrt()
        self._sigma = (1 - rows).sqrt()
        self._log_snr = rows.log() - (-rows).log1p()
        noisiness = -self._log_snr[1:]
        self._told = int(noisiness.isfinite().sum())  # T, or T − 1 where the table ends without signal
        self._rising = noisiness[: max(self._told, 1)].numpy()
        self._indices = np.arange(max(self._told, 1.0))

    @classmethod
    def from_betas(cls, betas: Sequence[float] | np.ndarray | Tensor) -> TableSchedule:
        """The schedule of the one-step variances β₁ … β_T: ᾱ_t = ∏ (1 − β) (Ho et al. 2020, below eq. 3)."""
        return cls((1 - torch.as_tensor(betas, dtype=torch.float64)).cumprod(0))

    @property
    def steps(self) -> int:
        """T."""
        return len(self._alpha_bar) - 1

    @property
    def axis(self) -> TimeAxis:
        """The table's indices."""
        return TimeAxis.table(self.steps)

    @property
    def alpha_bar(self) -> Tensor:
        """A copy of the table ᾱ₁ … ᾱ_T, shape (T,), float64."""
        return self._alpha_bar[1:].clone()

    def alpha(self, t: Tensor) -> Tensor:
        """√ᾱ at times t (any shape), float64 of the same shape; at whole times the table's value."""
        row, fraction = self._rows(t)
        return torch.where(fraction == 0, self._alpha[row], self.path.alpha(self.log_snr(t)))

    def sigma(self, t: Tensor) -> Tensor:
        """√(1 − ᾱ) at times t (any shape), float64 of the same shape; at whole times the table's value."""
        row, fraction = self._rows(t)
        return torch.where(fraction == 0, self._sigma[row], self.path.sigma(self.log_snr(t)))

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha²/sigma²) at times t (any shape), float64 of the same shape; infinite where clean."""
        row, fraction = self._rows(t)
        low, high = self._log_snr[row], self._log_snr[(row + 1).clamp(max=self.steps)]
        line = (1 - fraction) * low + fraction * high
        alpha = (1 - fraction) * self._alpha[row]  # towards a row without signal there is no line to −∞
        between = torch.where(high.isinf(), (alpha.square() / (1 - alpha.square())).log(), line)
        return torch.where(fraction == 0, low, between)

    def levels(self, times: Sequence[float]) -> tuple[Level, ...]:
        """The noise level at each time, then the clean level: one more than `times`."""
        if any(time < 0 for time in times):
            raise ValueError("the clean level ends every walk by itself: leave −1 out of the times")
        return super().levels(times)

    def time(self, log_snr: Tensor) -> Tensor:
        """The times of these log-SNRs (any shape), the nearest end of the table for those beyond it."""
        wanted = log_snr.detach().to(device="cpu", dtype=torch.float64)
        line = np.interp(-wanted.numpy(), self._rising, self._indices)
        times = torch.as_tensor(line, dtype=torch.float64)
        if self._told in (0, self.steps):
            return times
        # the inverse of alpha's own line
        beyond = self._told - self.path.alpha(wanted) / self._alpha[self._told]
        return torch.where(-wanted > self._rising[-1], beyond, times)

    def _rows(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The table row at or below each time, and how far the time is on the way to the next."""
        t = t.detach().to(device="cpu", dtype=torch.float64)
        known = (t == CLEAN.t) | ((t >= 0) & (t <= self.steps - 1))
        if not bool(known.all()):
            raise ValueError(
                f"time {t[~known].flatten()[0].item():g} is not in the schedule: times run from 0 to "
                f"{self.steps - 1}, fractions included, and -1 is clean"
            )
        row = t.floor()
        return row.long() + 1, t - row

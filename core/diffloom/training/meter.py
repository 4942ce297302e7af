"""The figures between two rows of metrics.jsonl, kept on the device, so that a step need not wait for them.

Legend: B batch, K parts of the schedule's axis.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.training.task import Losses

NONE_YET = -1
FIGURES, NOTES, KEPT = "figures/", "notes/", "kept/"
"""Before the names of a task's own figures, of what was noted, and of what is kept, among the tensors."""
BUCKETS = 8
"""Parts of the schedule's axis whose losses are told apart, the cleanest first."""


class Buckets:
    """The axis in `BUCKETS` parts of equal length. Times are told apart on the device."""

    def __init__(self, axis: TimeAxis, device: torch.device) -> None:
        bounds = [axis.at(part / BUCKETS) for part in range(1, BUCKETS)]
        self._bounds = torch.tensor(bounds, device=device)

    def of(self, t_B: Tensor) -> Tensor:
        """The part of each time, (B,) int64; a time on a bound belongs to the noisier one."""
        return torch.bucketize(t_B.to(self._bounds), self._bounds, right=True)


class Meter:
    """Sums of loss, gradient norm and the task's figures since the last row, and the first step where loss or norm was
    not finite. Where there is a schedule (`axis`), losses are summed for each part of it too."""

    def __init__(self, device: torch.device, *, axis: TimeAxis | None = None) -> None:
        self._buckets = None if axis is None else Buckets(axis, device)
        self._parts = torch.arange(BUCKETS, device=device)
        self._loss_sum = torch.zeros((), device=device)
        self._norm_sum = torch.zeros((), device=device)
        self._bucket_sums_K = torch.zeros(BUCKETS, device=device)
        self._bucket_counts_K = torch.zeros(BUCKETS, device=device)
        self._figure_sums: dict[str, Tensor] = {}
        self._notes: dict[str, float] = {}
        self.kept: dict[str, float] = {}
        """What those who note figures remember from one to the next, by name; rows do not hold it, checkpoints do."""
        self._bad_step = torch.full((), NONE_YET, device=device)
        self._count = 0

    def add(self, *, step: int, losses: Losses, grad_norm: Tensor) -> None:
        """Take in one step; does not wait for the device."""
        loss = losses.each_B.mean()
        self._loss_sum += loss
        self._norm_sum += grad_norm
        for name, figure in losses.figures.items():
            self._figure_sums[name] = self._figure_sums.get(name, 0) + figure
        if self._buckets is not None and losses.t_B is not None:
            # One-hot rather than index_add_: the same sum whenever it is made again, on a GPU too.
            is_in_KB = self._parts[:, None] == self._buckets.of(losses.t_B)
            self._bucket_sums_K += torch.where(is_in_KB, losses.each_B, 0).sum(1)
            self._bucket_counts_K += is_in_KB.sum(1)
        is_first = ~(torch.isfinite(loss) & torch.isfinite(grad_norm)) & (self._bad_step == NONE_YET)
        self._bad_step = torch.where(is_first, step, self._bad_step)
        self._count += 1

    def note(self, figures: Mapping[str, float]) -> None:
        """Figures that are measured now and then; the next row has the last of each."""
        self._notes.update(figures)

    @property
    def count(self) -> int:
        """Steps taken in since the last row."""
        return self._count

    def bad_step(self) -> int | None:
        """The first step whose loss or gradient was NaN or infinite; waits for the device."""
        step = int(self._bad_step)
        return None if step == NONE_YET else step

    def read(self) -> dict[str, float]:
        """The means since the last reading, and what was noted; begins anew.

        `loss_bucket_0` is the mean loss of the examples in the cleanest part of the axis; parts without examples are
        left out.
        """
        row = {
            "loss": float(self._loss_sum) / self._count,
            **{name: float(total) / self._count for name, total in self._figure_sums.items()},
            "grad_norm": float(self._norm_sum) / self._count,
            **{
                f"loss_bucket_{part}": total / count
                for part, (total, count) in enumerate(
                    zip(self._bucket_sums_K.tolist(), self._bucket_counts_K.tolist(), strict=True)
                )
                if count
            },
            **self._notes,
        }
        for total in (self._loss_sum, self._norm_sum, self._bucket_sums_K, self._bucket_counts_K):
            total.zero_()
        self._figure_sums.clear()
        self._notes.clear()
        self._count = 0
        return row

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint: so that a row is the same whether or not the run was resumed since the last."""
        return {
            "loss_sum": self._loss_sum.clone(),
            "norm_sum": self._norm_sum.clone(),
            "bucket_sums": self._bucket_sums_K.clone(),
            "bucket_counts": self._bucket_counts_K.clone(),
            "count": torch.tensor(self._count),
            **{f"{FIGURES}{name}": total.clone() for name, total in self._figure_sums.items()},
            **{
                f"{prefix}{name}": torch.tensor(value, dtype=torch.float64)
                for prefix, values in ((NOTES, self._notes), (KEPT, self.kept))
                for name, value in values.items()
            },
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave."""
        self._loss_sum.copy_(tensors["loss_sum"])
        self._norm_sum.copy_(tensors["norm_sum"])
        self._bucket_sums_K.copy_(tensors["bucket_sums"])
        self._bucket_counts_K.copy_(tensors["bucket_counts"])
        self._figure_sums = {
            name.removeprefix(FIGURES): total.to(self._norm_sum.device)
            for name, total in tensors.items()
            if name.startswith(FIGURES)
        }
        for prefix, values in ((NOTES, self._notes), (KEPT, self.kept)):
            values.clear()
            values |= {
                name.removeprefix(prefix): float(value)
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
        self._count = int(tensors["count"])

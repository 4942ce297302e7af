"""The figures between two rows of metrics.jsonl, kept on the device, so that a step need not wait for them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

NONE_YET = -1
FIGURES = "figures/"
"""Before the names of a task's own figures among the tensors."""


class Meter:
    """Sums of loss, gradient norm and the task's figures since the last row, and the first step where loss or norm was
    not finite."""

    def __init__(self, device: torch.device) -> None:
        self._loss_sum = torch.zeros((), device=device)
        self._norm_sum = torch.zeros((), device=device)
        self._figure_sums: dict[str, Tensor] = {}
        self._bad_step = torch.full((), NONE_YET, device=device)
        self._count = 0

    def add(self, *, step: int, loss: Tensor, grad_norm: Tensor, figures: Mapping[str, Tensor]) -> None:
        """Take in one step; does not wait for the device."""
        self._loss_sum += loss
        self._norm_sum += grad_norm
        for name, figure in figures.items():
            self._figure_sums[name] = self._figure_sums.get(name, 0) + figure
        is_first = ~(torch.isfinite(loss) & torch.isfinite(grad_norm)) & (self._bad_step == NONE_YET)
        self._bad_step = torch.where(is_first, step, self._bad_step)
        self._count += 1

    @property
    def count(self) -> int:
        """Steps taken in since the last row."""
        return self._count

    def bad_step(self) -> int | None:
        """The first step whose loss or gradient was NaN or infinite; waits for the device."""
        step = int(self._bad_step)
        return None if step == NONE_YET else step

    def read(self) -> dict[str, float]:
        """The means since the last reading; begins anew."""
        means = {
            "loss": float(self._loss_sum) / self._count,
            **{name: float(total) / self._count for name, total in self._figure_sums.items()},
            "grad_norm": float(self._norm_sum) / self._count,
        }
        self._loss_sum.zero_()
        self._norm_sum.zero_()
        self._figure_sums.clear()
        self._count = 0
        return means

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint: so that a row is the same whether or not the run was resumed since the last."""
        count = torch.tensor(self._count)
        figures = {f"{FIGURES}{name}": total.clone() for name, total in self._figure_sums.items()}
        return {
            "loss_sum": self._loss_sum.clone(),
            "norm_sum": self._norm_sum.clone(),
            "count": count,
            **figures,
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave."""
        self._loss_sum.copy_(tensors["loss_sum"])
        self._norm_sum.copy_(tensors["norm_sum"])
        self._figure_sums = {
            name.removeprefix(FIGURES): total.to(self._norm_sum.device)
            for name, total in tensors.items()
            if name.startswith(FIGURES)
        }
        self._count = int(tensors["count"])

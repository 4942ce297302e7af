"""The gradient by noise level, and its noise. Legend: B batch, N numbers of a sketch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from diffloom.kinds import TimeAxis
from diffloom.process import keyed_generator
from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.look import Look
from diffloom.sentinel.sketch import sketch
from diffloom.training.meter import Buckets

KEPT = 0.9
"""What stays of the estimates at each look: they are noisy, and what they estimate changes slowly."""

SQUARED_NORM, VARIANCE = "gradient_squared_norm", "gradient_variance"


class Gradients:
    """Measures the gradient at the examples of each look."""

    def __init__(self, axis: TimeAxis | None, device: torch.device, kept: dict[str, float]) -> None:
        """`kept` is where the estimates stand from look to look: what a checkpoint keeps of them."""
        self._buckets = None if axis is None else Buckets(axis, device)
        self._kept = kept

    @property
    def noise_scale(self) -> float | None:
        """B_simple = tr Σ/|G|², in examples (McCandlish et al. 2018, eq. 2.9): a batch much smaller is mostly noise,
        one much larger gains little. None while the estimates do not say."""
        squared_norm, variance = self._estimates
        return variance / squared_norm if squared_norm > 0 < variance else None

    @property
    def _estimates(self) -> tuple[float, float]:
        """Of |G|² and of tr Σ, 0 at first."""
        return self._kept.get(SQUARED_NORM, 0.0), self._kept.get(VARIANCE, 0.0)

    def look(self, look: Look) -> dict[str, float]:
        """Measure; returns figures for a row.

        `grad_norm_bucket_0` … are the norms of the mean gradient of the examples in each part of the schedule's axis,
        the cleanest first.
        """
        count = len(look.batch.positions)
        rng = keyed_generator(look.train.seed, look.step, 0, "the sentinel's signs")
        signs_B = torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
        signed_N, t_B = self._gradient(look, range(count), signs_B)
        total_N = torch.zeros_like(signed_N)
        figures = {}
        for part, rows in self._parts(t_B, count).items():
            part_N, _ = self._gradient(look, rows, torch.ones(len(rows)))
            total_N += part_N
            if t_B is not None:
                figures[f"grad_norm_bucket_{part}"] = float(part_N.norm()) / len(rows)
        if count > 1:
            self._estimate(total_N, signed_N, count)
        if self.noise_scale is not None:
            figures["noise_scale"] = self.noise_scale
        return figures

    def judged(self, look: Look) -> Iterator[Alarm]:
        """Nothing: there is no noise that is wrong by itself. The learning rate's finding tells of it."""
        return iter(())

    def _estimate(self, total_N: Tensor, signed_N: Tensor, count: int) -> None:
        """Of Σ gᵢ and Σ ±gᵢ with random signs: E|Σ ±gᵢ|² = Σ|gᵢ|², the B_small = 1 of McCandlish et al. 2018, appendix
        A.1, whose unbiased estimates of |G|² and tr Σ are averaged each by itself."""
        single, whole = float(signed_N.square().sum()), float(total_N.square().sum())
        squared_norm = (whole - single) / (count * (count - 1))
        variance = single / count - squared_norm
        for name, before, now in zip(
            (SQUARED_NORM, VARIANCE), self._estimates, (squared_norm, variance), strict=True
        ):
            self._kept[name] = KEPT * before + (1 - KEPT) * now

    def _parts(self, t_B: Tensor | None, count: int) -> dict[int, list[int]]:
        """The rows of each part of the axis that has some; all rows as one where there is no axis."""
        parts: dict[int, list[int]] = {}
        numbers = [0] * count if self._buckets is None or t_B is None else self._buckets.of(t_B).tolist()
        for row, part in enumerate(numbers):
            parts.setdefault(part, []).append(row)
        return dict(sorted(parts.items()))

    def _gradient(self, look: Look, rows: Sequence[int], weights_B: Tensor) -> tuple[Tensor, Tensor | None]:
        """The gradient of the weighted sum of some examples' losses, as a sketch; and their times."""
        parameters = list(look.state.parameters.values())
        with torch.enable_grad():
            losses = look.losses(rows)
            cost = (losses.each_B * weights_B.to(losses.each_B)).sum() * look.loss_scale
            gradients = torch.autograd.grad(cost, parameters, allow_unused=True)
        return sketch(gradients, parameters) / look.loss_scale, losses.t_B

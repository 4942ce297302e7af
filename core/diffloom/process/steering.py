"""Guidance and corrections of one walk, composed around the denoiser in one order:

1. the plain conditional prediction of x₀, and every view that an active guidance wants, in one batch;
2. x₀ plus the shifts of all guidances;
3. the corrections, in the order of their list.

ε follows x₀ at every stage, so that alpha·x₀ + sigma·ε = x_t. Clipping comes after: `diffloom.process.clipped`.
A guidance that is a gradient (`Tilting`) is in x₀ like any other, and once more beside it, as a `Tilt` for samplers
that take the gradient elsewhere. Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Correct, Pull, Tilting
from diffloom.process.types import Aims, Denoised, Estimate, Level, Model, Tilt, View


class Steered:
    """The guided denoiser of one walk: (x_BCHW, level) → x₀ and ε."""

    def __init__(
        self, aims: Aims, model: Model, pulls: Sequence[Pull], corrections: Sequence[Correct] = ()
    ) -> None:
        self.pulls = tuple(pulls)
        self.corrections = tuple(corrections)
        self._plain = View(aims.condition)
        self._under = model.under
        self._estimates: dict[int, Estimate] = defaultdict(
            Estimate
        )  # by condition, whatever it is stacked with
        self._batches: dict[tuple[int, ...], Callable[[Tensor, Level], Denoised]] = {}
        self._batch([self._plain, *(view for pull in self.pulls for view in pull.views)])

    def __call__(self, x_BCHW: Tensor, level: Level) -> Denoised:
        """The guided and corrected prediction."""
        active = [pull for pull in self.pulls if pull.active(level)]
        views = [view for pull in active for view in pull.views]
        seen = self._predicted([self._plain, *views], x_BCHW, level)
        plain = seen[id(self._plain)]
        steady = plain  # what a gradient is left out of
        slopes = []
        for pull in active:
            shift = pull.shift(x_BCHW, level, plain, [seen[id(view)] for view in pull.views])
            if shift is None:
                continue
            if isinstance(pull, Tilting):
                slopes.append((pull, shift))
            else:
                steady = shifted(steady, shift, level)
        guided = steady
        for _, shift in slopes:
            guided = shifted(guided, shift, level)
        guided = self._corrected(x_BCHW, level, guided, plain)
        if not slopes:
            return guided
        without = self._corrected(x_BCHW, level, steady, plain)
        return replace(guided, tilt=Tilt(without.x0_BCHW, _summed([pull for pull, _ in slopes])))

    def _corrected(self, x_BCHW: Tensor, level: Level, guided: Denoised, plain: Denoised) -> Denoised:
        for correct in self.corrections:
            x0 = correct(x_BCHW, level, guided, plain)
            eps = _eps(guided, x0 - guided.x0_BCHW, level)
            guided = replace(guided, x0_BCHW=x0, eps_BCHW=eps)
        return guided

    def _predicted(self, views: Sequence[View], x_BCHW: Tensor, level: Level) -> dict[int, Denoised]:
        """The prediction of each view, by its identity; those of the model itself come from one call."""
        own = _distinct([view.condition for view in views if view.through is None])
        repeated = x_BCHW if len(own) == 1 else torch.cat([x_BCHW] * len(own))
        together = self._batch(views)(repeated, level)
        rows = dict(zip(map(id, own), _split(together, len(own)), strict=True))
        return {
            id(view): rows[id(view.condition)] if view.through is None else view.through(x_BCHW, level)
            for view in views
        }

    def _batch(self, views: Sequence[View]) -> Callable[[Tensor, Level], Denoised]:
        """The model's denoiser under all the conditions of these views, stacked; made once for a walk."""
        own = _distinct([view.condition for view in views if view.through is None])
        key = tuple(map(id, own))
        if key not in self._batches:
            stacked = own[0] if len(own) == 1 else Condition.stack(own)
            self._batches[key] = self._under(stacked, [self._estimates[one] for one in key])
        return self._batches[key]


def shifted(denoised: Denoised, shift_BCHW: Tensor, level: Level) -> Denoised:
    """The prediction with x₀ shifted, and ε so that both still make x_t."""
    return replace(
        denoised,
        x0_BCHW=denoised.x0_BCHW + shift_BCHW,
        eps_BCHW=_eps(denoised, shift_BCHW, level),
    )


def _eps(denoised: Denoised, shift_BCHW: Tensor, level: Level) -> Tensor:
    """ε where x₀ is shifted: alpha·shift less of x_t is left for it."""
    return denoised.eps_BCHW - level.alpha / level.sigma * shift_BCHW


def _summed(slopes: Sequence[Tilting]) -> Callable[[Tensor, Level], Tensor]:
    def gradient(x_BCHW: Tensor, level: Level) -> Tensor:
        return torch.stack([slope.gradient(x_BCHW, level) for slope in slopes]).sum(0)

    return gradient


def _distinct(conditions: Sequence[Condition]) -> list[Condition]:
    return list({id(condition): condition for condition in conditions}.values())


def _split(denoised: Denoised, parts: int) -> list[Denoised]:
    """The rows of a stacked prediction, as many at a time as there were samples."""
    x0s, epss = denoised.x0_BCHW.chunk(parts), denoised.eps_BCHW.chunk(parts)
    variances = [None] * parts if denoised.variance_BCHW is None else denoised.variance_BCHW.chunk(parts)
    return [
        Denoised(x0_BCHW=x0, eps_BCHW=eps, variance_BCHW=variance)
        for x0, eps, variance in zip(x0s, epss, variances, strict=True)
    ]

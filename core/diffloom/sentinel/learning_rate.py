"""Steps that are far too long: the loss jumps by more than its examples explain, or is unlearned.

Legend: B batch, S steps, N numbers of a sample of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.weight_sample import WeightSample
from diffloom.training.step import Taken

WINDOW = 25
"""Steps that are judged together."""
FEWEST = 4
"""Examples of a step that say how much its loss would differ from that of others."""
UNEXPLAINED = 5.0
"""Jumps of the loss from step to step, as a multiple of what its examples explain: 1 in a run that is at ease, with a
standard deviation of √(35/9/25) = 0.4 over a window."""
UNLEARNED = 0.5
"""Share of what was learned that is lost again."""
ERRORS = 4.0
"""Standard errors by which windows must differ to count as different."""
MOVED, FAST = 0.1, 0.5
"""Share of their own size by which weights move within a window, where steps are long, and where they are very long."""


@dataclass(frozen=True)
class Window:
    """What some steps in a row cost."""

    last_step: int
    mean: float
    """Of the steps' losses."""
    error: float
    """Its standard error, by the second differences of successive steps, which a trend does not enlarge."""
    jumps: float
    """Variance of the steps' losses, by their second differences, over what the spread within steps makes of it: about
    1 where steps differ by their examples alone. One costly example adds the same to both."""
    moved: float
    """How far the weights moved, as a share of their size."""

    @property
    def span(self) -> str:
        return f"steps {self.last_step - WINDOW + 1} to {self.last_step}"


@dataclass(frozen=True)
class _Closed:
    """A window that is still on the device."""

    last_step: int
    lr: float
    figures_S2: Tensor
    weights_N: Tensor


class LearningRate:
    """Watches the losses of one run."""

    def __init__(self, sample: WeightSample) -> None:
        self._sample = sample
        self._began_N = self._weights_N = sample.take()
        self._open: list[Tensor] = []
        self._closed: list[_Closed] = []
        self._first: Window | None = None
        self._best: Window | None = None

    def heard(self, taken: Taken) -> None:
        """Take in a step; does not wait for the device."""
        each_B = taken.losses.each_B
        if len(each_B) < FEWEST or not taken.updated:
            return
        self._open.append(torch.stack([each_B.mean(), each_B.var() / len(each_B)]))
        if len(self._open) == WINDOW:
            figures_S2 = torch.stack(self._open)
            self._closed.append(_Closed(taken.step, taken.lr, figures_S2, self._sample.take()))
            self._open.clear()

    def forget(self) -> None:
        """The loss is another one from now on."""
        self._open.clear()
        self._closed.clear()
        self._first = self._best = None

    def judged(self, *, noise: str = "") -> Iterator[Alarm]:
        """What the windows show that ended since the last time; `noise` is what is known of the gradient's noise."""
        for closed in self._closed:
            window = self._window(closed)
            if not math.isfinite(window.mean):
                continue
            shown = self._shown(window)
            if shown:
                yield Alarm(
                    "learning-rate-too-high",
                    f"{shown}, and the weights move by {window.moved:.0%} of their size in {WINDOW} steps{noise}; "
                    f"lower train.lr (the rate was {closed.lr:.3g}), or lengthen train.lr_schedule.warmup_steps",
                    figure=window.moved,
                )
            self._first = self._first or window
            if self._best is None or window.mean < self._best.mean:
                self._best = window
        self._closed.clear()

    def _window(self, closed: _Closed) -> Window:
        losses_S, variances_S = closed.figures_S2.double().cpu().unbind(1)
        before_N, self._weights_N = self._weights_N, closed.weights_N
        squares = float(losses_S.diff(n=2).square().mean()) / 6  # Var(x₁ − 2x₂ + x₃) = 6·Var(x)
        explained = float(variances_S.mean())
        return Window(
            last_step=closed.last_step,
            mean=float(losses_S.mean()),
            error=math.sqrt(squares / WINDOW),
            jumps=squares / explained if explained else 0.0,
            moved=self._sample.relative(before_N, closed.weights_N, began_N=self._began_N),
        )

    def _shown(self, now: Window) -> str:
        """What is wrong with this window's losses, in words; nothing where the steps are not long either."""
        if now.moved >= FAST and now.jumps > UNEXPLAINED:
            return (
                f"in {now.span} the loss jumps {math.sqrt(now.jumps):.1f} times as far from step to step as its "
                "examples explain"
            )
        first, best = self._first, self._best
        if first is None or best is None or now.moved < MOVED:
            return ""
        learned, lost = first.mean - best.mean, now.mean - best.mean
        if _exceeds(now, first, by=0.1 * abs(first.mean)) or (
            _exceeds(first, best) and _exceeds(now, best) and lost > UNLEARNED * learned
        ):
            return f"the loss was {best.mean:.3g} in {best.span} and is {now.mean:.3g} in {now.span}"
        return ""


def _exceeds(one: Window, other: Window, *, by: float = 0.0) -> bool:
    """Whether its mean is above the other's by more than chance, and more than this."""
    return one.mean - other.mean > max(by, ERRORS * math.hypot(one.error, other.error))

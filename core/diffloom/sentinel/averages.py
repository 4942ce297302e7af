"""Averages against the raw weights. Legend: N numbers of a sample of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from diffloom.sentinel.finding import Alarm
from diffloom.sentinel.weight_sample import WeightSample, rms
from diffloom.training.ema import Average

LEAST = 1e-5
"""What an average should have moved by, as a share of its size, before it is said not to move: float32 holds 1e-7."""
FROZEN = 0.01
"""Of what an average should have moved by at the most: below this it stands still."""
SLOW = 0.3
"""Of the way from the beginning to the raw weights, after half of the run: below this it is no average of the run."""
FEWEST = 100
"""Steps before an average's length is judged: many begin short on purpose."""
FAST = 1.5
"""Last steps by which an average lags behind: below this it averages nothing."""


@dataclass
class _Course:
    """One average from the beginning."""

    began_N: Tensor
    left: float = 1.0
    """What its configuration leaves of the beginning."""
    remaining: float = 1.0
    """What stayed of it at the last step."""


class Averages:
    """Watches the averages of one run from its beginning, or from where it was resumed."""

    def __init__(
        self, averages: Mapping[str, Average], sample: WeightSample, *, first_step: int, batch_size: int
    ) -> None:
        self._averages = averages
        self._sample = sample
        self._first_step = first_step
        self._batch_size = batch_size
        self._weights_N = sample.take()
        self._courses = {name: _Course(self._taken(average)) for name, average in averages.items()}

    def heard(self, step: int) -> None:
        """The weights moved, and the averages should have."""
        for name, course in self._courses.items():
            course.remaining = self._averages[name].config.remaining(step, batch_size=self._batch_size)
            course.left *= course.remaining

    def judged(self, step: int, *, steps: int, before_N: Tensor) -> Iterator[Alarm]:
        """What they show after `step` of `steps`; `before_N` is the sample of the weights before it."""
        weights_N = self._sample.take()
        run_N, update_N = weights_N - self._weights_N, weights_N - before_N
        is_late = step - self._first_step >= max(steps / 2, FEWEST)
        for name, course in self._courses.items():
            average_N = self._taken(self._averages[name])
            place = f"train.further_ema.{name}" if name else "train.ema"
            due = (1 - course.left) * rms(run_N)
            moved = rms(average_N - course.began_N)
            way = float((average_N - self._weights_N).dot(run_N) / run_N.dot(run_N).clamp(min=1e-30))
            lag, last = rms(average_N - weights_N), rms(update_N)
            if due > LEAST * rms(self._weights_N) and moved < FROZEN * due:
                yield Alarm(
                    "ema-frozen",
                    f"{place} does not follow the weights: since step {self._first_step} they moved by "
                    f"{rms(run_N):.2g} and the average by {moved:.2g}, where its configuration leaves "
                    f"{course.left:.0%} of its beginning; samples are drawn from it: look at the component that this "
                    "key names, and at who updates it",
                    figure=1.0,
                    about=name,
                )
            elif is_late and way < SLOW:
                yield Alarm(
                    "ema-slow",
                    f"{place} is {max(way, 0):.0%} of the way from the weights at step {self._first_step} to those of "
                    f"now: it remembers longer than this run lasts; lower its decay or half-life, or raise train.steps",
                    figure=1.0,
                    about=name,
                )
            elif is_late and course.remaining > 0 and lag < FAST * last:
                yield Alarm(
                    "ema-fast",
                    f"{place} lags behind the weights by {lag / last:.1f} of their last steps: it averages nothing; "
                    "raise its decay or half-life",
                    figure=1.0,
                    about=name,
                )

    def _taken(self, average: Average) -> Tensor:
        with average.applied():
            return self._sample.take()

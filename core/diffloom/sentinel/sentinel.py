"""The sentinel of one run: what it hears, when it looks closely, what it has found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import nn

from diffloom.sentinel.averages import Averages
from diffloom.sentinel.conditions import Conditions
from diffloom.sentinel.dropout import Dropping
from diffloom.sentinel.finding import Alarm, Finding
from diffloom.sentinel.gradients import Gradients
from diffloom.sentinel.layers import Layers
from diffloom.sentinel.learning_rate import LearningRate
from diffloom.sentinel.loader import Loader
from diffloom.sentinel.look import Look
from diffloom.sentinel.overflow import why_not_finite
from diffloom.sentinel.quiet import quiet
from diffloom.sentinel.scale import Scale
from diffloom.sentinel.told import Told
from diffloom.sentinel.turns import Turns
from diffloom.sentinel.weight_sample import WeightSample
from diffloom.training.diffusion import DiffusionTask

if TYPE_CHECKING:
    from diffloom.config.document import Train
    from diffloom.training.engine import Engine
    from diffloom.training.feed import Batch
    from diffloom.training.state import TrainState
    from diffloom.training.step import Taken


class Check(Protocol):
    """What looks closely at one thing."""

    def look(self, look: Look) -> dict[str, float]:
        """Measure, and take note; returns figures for the next row of metrics."""
        ...

    def judged(self, look: Look) -> Iterator[Alarm]:
        """What the looks so far show."""
        ...


class Watch:
    """Watches one run. It draws no random number of the run's and changes no weight.

    A step costs it a few sums on the device, and nothing waits for those before a row of metrics does. A close look at
    the examples of one pass goes through them twice forward and back and once forward, and with K conditioners K + 2
    times more: with one of them that is the arithmetic of three and a half steps, 1.4 % with the usual 250 steps
    between looks. Of networks so small that calling them costs most it takes six, since the parts of the axis are
    passes of their own. It keeps one gradient more than the training does.
    """

    def __init__(self, train: Train, state: TrainState, engine: Engine) -> None:
        self.train = train
        self.state = state
        self.engine = engine
        task = state.task
        sample = WeightSample([weight for weight in state.module.parameters() if weight.requires_grad])
        self._sample = sample
        self._weights_N = self._before_N = sample.take()
        self._told = Told()
        self._turns = Turns.of(task)
        self._learning_rate = LearningRate(sample)
        self._loader = Loader(workers=train.workers)
        self._averages = Averages(state.averages, sample, first_step=state.step, batch_size=train.batch_size)
        self._gradients = Gradients(task.axis, task.device, state.meter.kept)
        self._checks: list[Check] = [Layers(state.module), self._gradients]
        if isinstance(task, DiffusionTask):
            self._checks += [Scale(task), Conditions(task), Dropping(task)]

    def heard(self, taken: Taken, *, waited_seconds: float, seconds: float) -> Sequence[Finding]:
        """After each optimiser step: what it took in all, and how long of that it waited for data."""
        train, step = self.train, taken.step
        if self._turns.is_comparable(step):
            self._learning_rate.heard(taken)
        else:
            self._learning_rate.forget()
        self._loader.heard(waited_seconds=waited_seconds, seconds=seconds)
        if taken.updated:
            self._averages.heard(step)
        self._keep_weights(step)
        if step % train.log_every and step != train.steps:
            return ()
        return self._told.new(step, [*self._learning_rate.judged(noise=self._noise), *self._loader.judged()])

    def look(self, passes: Sequence[Batch]) -> Sequence[Finding]:
        """A close look after a step, at the examples that it took: those of its first pass."""
        look = Look(self.state, self.engine, self.train, passes)
        with quiet(self._modules, device=self.engine.device):
            for check in self._checks:
                self.state.meter.note(check.look(look))
        averages = self._averages.judged(look.step, steps=self.train.steps, before_N=self._before_N)
        rate = self._learning_rate.judged(noise=self._noise)
        close = (alarm for check in self._checks for alarm in check.judged(look))
        return self._told.new(look.step, [*rate, *averages, *close])

    def why_not_finite(self, passes: Sequence[Batch], *, step: int) -> str | None:
        """After a step whose loss or gradient was not finite: the first module whose output was not, and from what."""
        with quiet(self._modules, device=self.engine.device):
            for batch in passes:
                why = why_not_finite(Look(self.state, self.engine, self.train, [batch], again=True))
                if why is not None:
                    return why
        return None

    @property
    def _modules(self) -> tuple[nn.Module, ...]:
        return self.state.module, self.state.beside

    @property
    def _noise(self) -> str:
        scale = self._gradients.noise_scale
        if scale is None:
            return ""
        size = self.train.batch_size
        return f" (a batch of {size} is {size / scale:.2g} of the gradient's noise scale)"

    def _keep_weights(self, step: int) -> None:
        """A sample of the weights before each step that is looked at closely."""
        every = self.train.sentinel.every
        if every is not None and step % every == 0:
            self._before_N = self._weights_N
        if every is not None and (step + 1) % every == 0:
            self._weights_N = self._sample.take()

"""The training loop: one optimiser step after another, and what happens between them.

Nothing here depends on when the process started: order, noise, times and dropout are keyed by (seed, position) or
(seed, step), so a run that is killed and resumed computes what it would have computed. Every process of a run goes
through the same loop; they agree on each step before it, and after it on whether to go on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffloom.config.document import Train
from diffloom.errors import NonFiniteLossError, SentinelError
from diffloom.process import Step
from diffloom.sentinel import Finding, Watch
from diffloom.training.feed import Batch
from diffloom.training.interrupt import Interrupt, TrainingInterrupted
from diffloom.training.journal import Journal
from diffloom.training.optimizer import learning_rate
from diffloom.training.parallel import Parallel
from diffloom.training.processes import Processes
from diffloom.training.replaced import Replaced
from diffloom.training.saving import Saving
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep, Taken
from diffloom.training.witness import Fed

LONG_ROW = 20
"""Steps whose fp16 gradients overflow one after another, each with half the scale of the one before. torch begins with
2¹⁶: after so many the scale is not what is wrong, and soon the gradients would be lost below what fp16 can hold."""


class _PreviewCancelledError(Exception):
    """A signal came while pictures were drawn; they are drawn when the run is resumed."""


@dataclass(kw_only=True)
class Loop:
    """A run, ready to go. `run()` takes it to its last step."""

    state: TrainState
    optimizer_step: OptimizerStep
    train: Train
    feed: Fed
    saving: Saving
    journal: Journal
    watch: Watch
    interrupt: Interrupt
    processes: Processes
    parallel: Parallel

    def __post_init__(self) -> None:
        self._row_began = time.perf_counter()
        self._waited = 0.0
        self._replaced = Replaced()
        self._seconds = self.journal.seconds
        self._found: Finding | None = None
        self._lines: list[str] = []

    def run(self) -> None:
        """Train from the state's step to the last.

        Raises NonFiniteLossError, SentinelError, TrainingInterrupted, and CheckpointError or RunError when the disk is
        full.
        """
        state, train = self.state, self.train
        if state.step and self._is_due(train.sample_every) and not self.saving.is_drawn(state.step):
            self._preview()  # the kill came before it was drawn
        state.train_mode()
        self._row_began = time.perf_counter()
        steps = self.feed.steps(first_step=state.step, last_step=train.steps)
        while state.step < train.steps:
            began = time.perf_counter()
            passes = self._next(steps)
            waited = time.perf_counter() - began
            taken = self._step(passes)
            self._waited += waited
            is_last = state.step == train.steps
            logs = self._is_due(train.log_every) or is_last
            if logs:
                self._require_finite(passes)
            with self.processes.together():
                self._hear(taken, passes, waited=waited, seconds=time.perf_counter() - began)
                if logs:
                    self._log()
            self.journal.advance()
            ends = self._ends() and not is_last  # after the last there is nothing to end
            if self._is_due(train.snapshot_every) or (is_last and train.snapshot_every):
                self._require_finite(passes)
                self.saving.snapshot(state)  # first: a run that goes on from this step's checkpoint has it
            if self._is_due(train.checkpoint_every) or is_last or ends:
                self._save(passes)
            if (self._is_due(train.sample_every) or (is_last and train.sample_every)) and not ends:
                self._preview()
                ends = self._ends() and not is_last
            if ends:
                self._end(self._save(passes))

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.state.step % every == 0

    def _next(self, steps: Iterator[list[Batch]]) -> list[Batch]:
        """This process's examples of the next step; an example that cannot be used ends all processes."""
        with self.processes.together():
            return next(steps)

    def _step(self, passes: Sequence[Batch]) -> Taken:
        """One optimiser step, taken in by the meter."""
        state = self.state
        taken = self.optimizer_step.take(passes)
        if taken.updated or not state.scaler.is_on:
            state.meter.add(step=taken.step, losses=taken.losses, grad_norm=taken.grad_norm)
        if state.task.device.type == "cpu":
            self._require_finite(passes)  # elsewhere asking waits for the device: done before what is written
        return taken

    def _hear(self, taken: Taken, passes: Sequence[Batch], *, waited: float, seconds: float) -> None:
        """Take note of examples that were replaced; let the sentinel know of a step, and look closely when it is time.

        The main process does so for all: each knows what a step computed, and a close look needs a few examples.
        """
        self._lines += self._replaced.heard(passes, step=taken.step)
        if not self.processes.is_main:
            return
        found = list(self.watch.heard(taken, waited_seconds=waited, seconds=seconds))
        if self._is_due(self.train.sentinel.every) and not self.parallel.is_sharded:
            found += self.watch.look(passes)
        for finding in found:
            self.journal.finding(finding)
            self._found = self._found or finding

    def _require_finite(self, passes: Sequence[Batch]) -> None:
        step, overflows = self.state.meter.bad_step(), self.state.scaler.skipped_in_a_row
        if step is None and overflows < LONG_ROW:
            return
        told = (
            f"step {step}: the loss or its gradient is NaN or infinite"
            if step is not None
            else f"step {self.state.step}: the gradients of {overflows} steps in a row overflowed in fp16"
        )
        with self.processes.together():  # all have found the same
            if self.processes.is_main:
                why = None
                if not self.parallel.is_sharded:
                    why = self.watch.why_not_finite(passes, step=step or self.state.step)
                raise NonFiniteLossError(
                    f"{told}; {self.saving.standing}. {why}"
                    if why
                    else f"{told}; {self.saving.standing}. Try a smaller train.lr, a longer "
                    "train.lr_schedule.warmup_steps, a smaller train.grad_clip, or look for broken examples in the data"
                )

    def _log(self) -> None:
        """Write a row of means since the last; none where fp16 has skipped every step since."""
        state, train = self.state, self.train
        steps = state.meter.count + state.scaler.skipped
        if state.meter.count == 0:
            return
        skipped = {"skipped_steps": state.scaler.read()} if state.scaler.is_on else {}
        now = time.perf_counter()
        elapsed, self._row_began = now - self._row_began, now
        waited, self._waited = self._waited, 0.0
        self._seconds += elapsed
        row = {
            "step": state.step,
            **state.meter.read(),
            **skipped,
            "lr": learning_rate(state.step, train),
            "images_per_second": round(steps * train.batch_size / elapsed, 2),
            "data_wait": round(waited / elapsed, 4),
            **self._replaced.read(),
            "seconds": round(self._seconds, 3),
        }
        self.journal.row(row)

    def _save(self, passes: Sequence[Batch]) -> Path:
        """Write the state, unless this step's is there; returns its path."""
        if not self.saving.is_saved(self.state.step):
            self._require_finite(passes)
            with self.processes.together():
                self.journal.saving()
        return self.saving.save(self.state, self.journal)

    def _preview(self) -> None:
        """Draw pictures with the averaged weights: the main process alone, but where weights are sharded."""
        state, step = self.state, self.state.step
        draws = self.processes.is_main or self.parallel.is_sharded
        try:
            with state.ema.applied():
                drawn = self.parallel.drawn(lambda: state.task.preview(self._stop_preview)) if draws else None
        except _PreviewCancelledError:
            return
        finally:
            state.train_mode()
        with self.processes.together():
            if drawn is not None:
                grid, recipe = drawn
                self.journal.picture(step, grid, path=self.saving.folder.picture(step), recipe=recipe)

    def _stop_preview(self, step: Step) -> None:
        signal = self._signal() if self.parallel.is_sharded else self.interrupt.signal_number
        if signal is not None:
            raise _PreviewCancelledError

    def _signal(self) -> int | None:
        """A signal that any of the processes was sent."""
        return max(number for (number,) in self.processes.numbers(self.interrupt.signal_number or 0)) or None

    def _ends(self) -> bool:
        """Whether a signal or the sentinel ends the run here, in any process; tells of what they have noted."""
        stops = self._found is not None and self.train.sentinel.stops
        own = (self.interrupt.signal_number or 0, int(stops), len(self._lines))
        signals, stopping, lines = zip(*self.processes.numbers(*own), strict=True)
        if any(lines):
            for line in self.processes.listed(self._lines):
                self.journal.line(line)
            self._lines.clear()
        return any(signals) or any(stopping)

    def _end(self, checkpoint: Path) -> None:
        signal = self._signal()
        with self.processes.together():
            if not self.processes.is_main:
                return
            if self._found is not None and self.train.sentinel.stops:
                raise SentinelError(
                    f"step {self._found.step}: {self._found.cause}: {self._found.text}; saved {checkpoint}. "
                    "Mend what is named, or leave out train.sentinel.stops to be told and go on"
                )
            assert signal is not None, "one of the two has ended the run"
            raise TrainingInterrupted(signal_number=signal, step=self.state.step, checkpoint=checkpoint)

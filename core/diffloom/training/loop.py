"""The training loop: one optimiser step after another, and what happens between them.

Nothing here depends on when the process started: order, noise, times and dropout are keyed by (seed, position) or
(seed, step), so a run that is killed and resumed computes what it would have computed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffloom.config.document import Train
from diffloom.errors import NonFiniteLossError
from diffloom.observers import Observers
from diffloom.pictures import save_png
from diffloom.process import Step
from diffloom.sentinel import Finding, Watch
from diffloom.training.feed import Batch
from diffloom.training.findings import FindingsFile
from diffloom.training.interrupt import Interrupt, TrainingInterrupted
from diffloom.training.metrics import MetricsFile
from diffloom.training.optimizer import learning_rate
from diffloom.training.progress import Progress
from diffloom.training.replaced import Replaced
from diffloom.training.run_folder import RunFolder
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep, Taken
from diffloom.training.tracking import Trackers
from diffloom.training.witness import Fed


class _PreviewCancelledError(Exception):
    """A signal came while pictures were drawn; they are drawn when the run is resumed."""


@dataclass(kw_only=True)
class Loop:
    """A run, ready to go. `run()` takes it to its last step."""

    state: TrainState
    optimizer_step: OptimizerStep
    train: Train
    feed: Fed
    folder: RunFolder
    config: str
    """The resolved configuration, for the checkpoints."""
    metrics: MetricsFile
    findings: FindingsFile
    observers: Observers
    trackers: Trackers
    watch: Watch
    progress: Progress
    interrupt: Interrupt

    def __post_init__(self) -> None:
        self._row_began = time.perf_counter()
        self._waited = 0.0
        self._replaced = Replaced()
        self._seconds = float(self.metrics.last.get("seconds", 0.0))
        self._saved_step = self.state.step if self.folder.latest() else 0

    def run(self) -> None:
        """Train from the state's step to the last.

        Raises NonFiniteLossError, TrainingInterrupted, and CheckpointError or RunError when the disk is full.
        """
        state, last = self.state, self.train.steps
        if (
            state.step
            and self._is_due(self.train.sample_every)
            and not self.folder.picture(state.step).exists()
        ):
            self._preview()  # the kill came before it was drawn
        state.train_mode()
        self._row_began = time.perf_counter()
        steps = self.feed.steps(first_step=state.step, last_step=last)
        began = time.perf_counter()
        while state.step < last:
            passes = next(steps)
            waited = time.perf_counter() - began
            taken = self._step(passes)
            now = time.perf_counter()
            self._waited += waited
            self._hear(taken, passes, waited=waited, seconds=now - began)
            began = time.perf_counter()
            self.progress.advance()
            is_last = state.step == last
            if self._is_due(self.train.log_every) or is_last:
                self._log()
            stops = (
                self.interrupt.signal_number is not None and not is_last
            )  # after the last there is nothing to stop
            if self._is_due(self.train.checkpoint_every) or is_last or stops:
                self._save()
            if (self._is_due(self.train.sample_every) or (is_last and self.train.sample_every)) and not stops:
                self._preview()
            if (number := self.interrupt.signal_number) is not None and not is_last:
                checkpoint = self._save()
                raise TrainingInterrupted(signal_number=number, step=state.step, checkpoint=checkpoint)

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.state.step % every == 0

    def _step(self, passes: Sequence[Batch]) -> Taken:
        """One optimiser step, taken in by the meter."""
        state = self.state
        taken = self.optimizer_step.take(passes)
        state.meter.add(step=taken.step, losses=taken.losses, grad_norm=taken.grad_norm)
        if state.task.device.type == "cpu":
            self._require_finite()  # elsewhere asking would wait for the device: done before what is written
        return taken

    def _hear(self, taken: Taken, passes: Sequence[Batch], *, waited: float, seconds: float) -> None:
        """Tell of replaced examples; let the sentinel know of a step, and look closely where it is time to."""
        for line in self._replaced.heard(passes, step=taken.step):
            self.progress.line(line)
        found = list(self.watch.heard(taken, waited_seconds=waited, seconds=seconds))
        if self._is_due(self.train.sentinel.every):
            found += self.watch.look(passes)
        for finding in found:
            self._tell(finding)

    def _tell(self, finding: Finding) -> None:
        self.findings.write(finding)
        self.progress.line(f"step {finding.step}: {finding.cause}: {finding.text}")
        self.trackers.finding(finding)
        self.observers.finding(finding)

    def _require_finite(self) -> None:
        step = self.state.meter.bad_step()
        if step is not None:
            good = self.folder.latest()
            kept = f"the last good checkpoint is {good}" if good else "no checkpoint was written yet"
            raise NonFiniteLossError(
                f"step {step}: the loss or its gradient is NaN or infinite; {kept}. Try a smaller train.lr, a longer "
                "train.lr_schedule.warmup_steps, a smaller train.grad_clip, or look for broken examples in the data"
            )

    def _log(self) -> None:
        self._require_finite()
        state, train = self.state, self.train
        steps = state.meter.count
        figures = state.meter.read()
        now = time.perf_counter()
        elapsed, self._row_began = now - self._row_began, now
        waited, self._waited = self._waited, 0.0
        self._seconds += elapsed
        row = {
            "step": state.step,
            **figures,
            "lr": learning_rate(state.step, train),
            "images_per_second": round(steps * train.batch_size / elapsed, 2),
            "data_wait": round(waited / elapsed, 4),
            **self._replaced.read(),
            "seconds": round(self._seconds, 3),
        }
        self.metrics.write(row)
        self.progress.row(row)
        self.trackers.figures(state.step, row)
        self.observers.step_end(state.step, row)

    def _save(self) -> Path:
        """Write the state, unless this step's is there; returns its path."""
        path = self.folder.checkpoint(self.state.step)
        if self._saved_step != self.state.step:
            self._require_finite()
            self.metrics.sync()
            self.state.save(path, config=self.config)
            self._saved_step = self.state.step
            self.folder.prune(keep=self.train.keep_checkpoints, every=self.train.keep_every)
            self.observers.checkpoint_saved(self.state.step, path)
        return path

    def _preview(self) -> None:
        """Draw pictures with the averaged weights."""
        step = self.state.step
        try:
            with self.state.ema.applied():
                grid, recipe = self.state.task.preview(self._stop_preview)
        except _PreviewCancelledError:
            return
        finally:
            self.state.train_mode()
        save_png(grid, self.folder.picture(step), recipe=recipe)
        self.trackers.picture(step, "samples", grid)
        self.observers.samples(step, grid)

    def _stop_preview(self, step: Step) -> None:
        if self.interrupt.signal_number is not None:
            raise _PreviewCancelledError

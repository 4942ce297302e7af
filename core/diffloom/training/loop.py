"""The training loop: one optimiser step after another, and what happens between them.

Nothing here depends on when the process started: order, noise, times and dropout are keyed by (seed, position) or
(seed, step), so a run that is killed and resumed computes what it would have computed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from diffloom.config.document import Train
from diffloom.errors import NonFiniteLossError
from diffloom.observers import Observers
from diffloom.pictures import save_png
from diffloom.process import Draws, Step, keyed_generator
from diffloom.training.feed import Batch, Feed
from diffloom.training.interrupt import Interrupt, TrainingInterrupted
from diffloom.training.metrics import MetricsFile
from diffloom.training.optimizer import learning_rate
from diffloom.training.progress import Progress
from diffloom.training.run_folder import RunFolder
from diffloom.training.state import TrainState


class _PreviewCancelledError(Exception):
    """A signal came while pictures were drawn; they are drawn when the run is resumed."""


@dataclass(kw_only=True)
class Loop:
    """A run, ready to go. `run()` takes it to its last step."""

    state: TrainState
    train: Train
    feed: Feed
    folder: RunFolder
    config: str
    """The resolved configuration, for the checkpoints."""
    metrics: MetricsFile
    observers: Observers
    progress: Progress
    interrupt: Interrupt

    def __post_init__(self) -> None:
        self._row_began = time.perf_counter()
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
        for batch in self.feed.batches(first_step=state.step, last_step=last):
            self._step(batch)
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

    def _step(self, batch: Batch) -> None:
        """One optimiser step."""
        state, train = self.state, self.train
        step = state.step + 1
        # Dropout inside networks draws from torch's own generator: set anew each step, it needs no saving, and
        # whoever drew from it in between (an observer, a sampler) has changed nothing.
        _seed_torch(int(keyed_generator(train.seed, step, 0, "network").integers(2**63)), state.task.device)
        draws = Draws.of(train.seed, batch.positions)
        with torch.enable_grad():
            losses = state.task.losses(batch, draws, step=step)
            loss = losses.each_B.mean()
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = list(state.parameters.values())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        state.meter.add(step=step, loss=loss.detach(), grad_norm=norm, figures=losses.figures)
        if state.task.device.type == "cpu":
            self._require_finite()  # elsewhere asking would wait for the device: done before what is written
        if train.grad_clip is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, train.grad_clip, norm)
        rate = learning_rate(step, lr=train.lr, warmup_steps=train.warmup_steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.step()
        state.ema.update(step)
        state.task.observe(draws, losses.each_B.detach())
        state.step = step

    def _require_finite(self) -> None:
        step = self.state.meter.bad_step()
        if step is not None:
            good = self.folder.latest()
            kept = f"the last good checkpoint is {good}" if good else "no checkpoint was written yet"
            raise NonFiniteLossError(
                f"step {step}: the loss or its gradient is NaN or infinite; {kept}. Try a smaller train.lr, a longer "
                "train.warmup_steps, a smaller train.grad_clip, or look for broken examples in the data"
            )

    def _log(self) -> None:
        self._require_finite()
        state, train = self.state, self.train
        steps = state.meter.count
        figures = state.meter.read()
        now = time.perf_counter()
        elapsed, self._row_began = now - self._row_began, now
        self._seconds += elapsed
        row = {
            "step": state.step,
            **figures,
            "lr": learning_rate(state.step, lr=train.lr, warmup_steps=train.warmup_steps),
            "images_per_second": round(steps * train.batch_size / elapsed, 2),
            "seconds": round(self._seconds, 3),
        }
        self.metrics.write(row)
        self.progress.row(row)
        self.observers.step_end(state.step, row)

    def _save(self) -> Path:
        """Write the state, unless this step's is there; returns its path."""
        path = self.folder.checkpoint(self.state.step)
        if self._saved_step != self.state.step:
            self._require_finite()
            self.metrics.sync()
            self.state.save(path, config=self.config)
            self._saved_step = self.state.step
            self.folder.prune(self.train.keep_checkpoints)
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
        self.observers.samples(step, grid)

    def _stop_preview(self, step: Step) -> None:
        if self.interrupt.signal_number is not None:
            raise _PreviewCancelledError


def _seed_torch(seed: int, device: torch.device) -> None:
    """Set torch's own generators: the CPU's alone where that will do, as `torch.manual_seed` takes a millisecond."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)

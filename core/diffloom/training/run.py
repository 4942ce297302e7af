"""`train`: a configuration and a folder → a trained model."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.config import Resolved
from diffloom.config.plain import plain
from diffloom.heap import kept_heap
from diffloom.hooks import RunInfo
from diffloom.nn.compilation import told_compiling
from diffloom.observers import Observers
from diffloom.plugins import Plugins, load_plugins
from diffloom.sentinel import Watch
from diffloom.training.changes import changes, require_resumable
from diffloom.training.engine import Engine
from diffloom.training.environment import begin_session
from diffloom.training.faults import faults_told
from diffloom.training.findings import FindingsFile
from diffloom.training.interrupt import Interrupt, TrainingInterrupted
from diffloom.training.journal import Journal, RunJournal, Silence
from diffloom.training.loop import Loop
from diffloom.training.metrics import MetricsFile
from diffloom.training.opening import Opening
from diffloom.training.parallel import Parallel
from diffloom.training.precision import products
from diffloom.training.preparation import Prepared, prepare, require_sections
from diffloom.training.progress import Progress, Silent
from diffloom.training.readiness import readied
from diffloom.training.run_folder import RunFolder
from diffloom.training.saving import Saving
from diffloom.training.settling import settled
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep
from diffloom.training.tracking import Trackers
from diffloom.training.witness import Fed, Witness


@dataclass(frozen=True)
class Trained:
    """What a finished run left."""

    folder: Path
    """The run folder; `diffloom.load` takes it."""
    step: int
    """Optimiser steps taken in all."""
    checkpoint: Path
    """The last checkpoint."""


def train(
    resolved: Resolved,
    folder: str | Path,
    *,
    plugins: Plugins | None = None,
    resume: bool = False,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    witness: Witness | None = None,
) -> Trained:
    """Train the model of a configuration in a new run folder, or go on with one (`resume`).

    `plugins` are those the configuration was read with (the installed ones); `device` is CUDA where there is any;
    a `witness` sees what the run goes on from and what it is fed. Where a launcher has begun several processes
    (`torchrun`, `accelerate launch`), each calls this, and together they are one run.
    Raises DiffloomError for what the user can mend, NonFiniteLossError when the loss explodes, and
    TrainingInterrupted, a KeyboardInterrupt, after Ctrl-C or SIGTERM, when everything up to there is saved. Of several
    processes one raises, and the others end with EndedElsewhere, a SystemExit.
    """
    run = RunFolder(folder)
    _, settings = require_sections(resolved.document)
    engine = Engine(settings, device=device)
    processes = engine.processes
    with processes.closed_after(run), faults_told(run):
        with processes.together():
            if processes.is_main:
                run.require(resume=resume)
        prepared = processes.main_first(lambda: prepare(resolved.document))
        with processes.together():
            lock = run.hold() if processes.is_main else None
        try:
            with processes.together():
                if processes.is_main:
                    run.require(resume=resume)  # again, now that no other process can be at it
            place = engine.device
            prepared = settled(prepared, run, processes)
            engine = engine.settled(prepared.train)
            # The caller's generators stay as they are.
            with (
                torch.random.fork_rng(devices=[place] if place.type == "cuda" else []),
                products(prepared.train.precision),
                kept_heap() if place.type == "cpu" else nullcontext(),
            ):
                session = _Session(
                    run, prepared, plugins or load_plugins(), progress or Silent(), engine, witness
                )
                session.go(resolved)
        finally:
            if lock is not None:
                lock.release()
    last = prepared.train.steps
    return Trained(folder=run.path, step=last, checkpoint=run.checkpoint(last))


@dataclass(frozen=True)
class _Session:
    """One process's part of a run."""

    run: RunFolder
    prepared: Prepared
    plugins: Plugins
    progress: Progress
    engine: Engine
    witness: Witness | None

    def go(self, resolved: Resolved) -> None:
        """Take the run from where it is to its end."""
        run, train, processes = self.run, self.prepared.train, self.engine.processes
        with processes.together():
            if processes.is_main:
                run.remove_leftovers()
                if run.is_begun:
                    self._require_same()
        if self._is_finished():
            self._line(f"finished already, after step {train.steps}: nothing is left to do")
            return
        given = require_sections(resolved.document)[1].precision
        if given == "auto" and train.precision != "fp32":
            self._line(f"precision: auto is {train.precision} for this network; fp32 is exact")
        opening = Opening(self.prepared, self.plugins, self.engine)
        latest = run.latest()
        task = processes.main_first(lambda: opening.task(filled=latest is None))
        for line in readied(task, train, self.engine.split):
            self._line(line)
        parallel = self.engine.parallel(task)
        with processes.together():
            state = TrainState(task, train)
            checkpoint = None if latest is None else open_checkpoint(latest)
            if checkpoint is not None:
                state.load(checkpoint)
            feed = opening.feed(task, checkpoint)
        with processes.together():
            text = config.to_yaml(self.prepared.document, self.plugins.registry)
            if state.step == 0 and processes.is_main:
                std = opening.unit_scale(task, feed)
                if std is not None:
                    self._line(f"the latents' standard deviation is {std:.3g}")
            journal = self._journal(resolved, text, state.step) if processes.is_main else Silence()
        split = self.engine.split
        divided = f", {split}" if split.processes > 1 or len(split.passes) > 1 else ""
        self._line(f"at step {state.step} of {train.steps}, on {self.engine.device}{divided}")
        if parallel.is_sharded and train.sentinel.every is not None:
            self._line(
                "no process has all weights to look at closely: the sentinel judges what steps show by themselves"
            )
        told = told_compiling(self.progress.compiling) if train.compile else nullcontext()
        with Interrupt() as interrupt, told:
            reason = "failed"
            journal.begin(first_step=state.step, last_step=train.steps, batch_size=train.batch_size)
            try:
                self._loop(
                    state=state,
                    fed=feed if self.witness is None else self.witness(state, feed, text),
                    saving=Saving(
                        run,
                        train,
                        config=text,
                        saved_step=state.step if latest else 0,
                        processes=processes,
                        parallel=parallel,
                        feed=feed,
                    ),
                    parallel=parallel,
                    journal=journal,
                    interrupt=interrupt,
                ).run()
                reason = "finished"
            except TrainingInterrupted:
                reason = "interrupted"
                raise
            finally:
                journal.end(state.step, reason)
        self._line(f"finished after step {state.step}")

    def _line(self, text: str) -> None:
        if self.engine.is_main:
            self.progress.line(f"{self.run.path}: {text}")

    def _is_finished(self) -> bool:
        """Whether nothing is left to do, as the main process sees it."""
        train = self.prepared.train
        own = self.run.is_finished(steps=train.steps, sampled=train.sample_every is not None)
        return bool(self.engine.processes.numbers(int(own))[0][0])

    def _require_same(self) -> None:
        """Raises RunError when the folder's run has another configuration; tells of changes that are allowed."""
        run, registry = self.run, self.plugins.registry
        text = run.resolved.read_text(encoding="utf-8")
        stored = plain(config.parse(text, name=str(run.resolved), registry=registry).document)
        versions = yaml.safe_load(text)["plugins"]  # as they were then: parsing gives those installed now
        found = changes({**stored, "plugins": versions}, plain(self.prepared.document))
        require_resumable(found, run.path, open_ended=self.prepared.train.lr_schedule.open_ended)
        for change in found:
            self.progress.line(f"changed since the run began: {change}")

    def _journal(self, resolved: Resolved, text: str, first_step: int) -> RunJournal:
        """Begin to write: from here on the folder has a run."""
        run, train = self.run, self.prepared.train
        run.write_configs(given=resolved.given, resolved=text)
        info = RunInfo(run.path, text, first_step, train.steps)
        return RunJournal(
            metrics=MetricsFile(run.metrics, step=first_step),
            findings=FindingsFile(run.findings, step=first_step),
            observers=Observers(self.plugins.manager, info),
            trackers=Trackers(train.trackers, info),
            progress=self.progress,
            record=begin_session(
                run.path,
                resolved,
                self.prepared,
                first_step=first_step,
                device=self.engine.device,
                processes=self.engine.processes.count,
            ),
        )

    def _loop(
        self,
        *,
        state: TrainState,
        fed: Fed,
        saving: Saving,
        parallel: Parallel,
        journal: Journal,
        interrupt: Interrupt,
    ) -> Loop:
        train, processes = self.prepared.train, self.engine.processes
        return Loop(
            state=state,
            optimizer_step=OptimizerStep(state, train, self.engine, parallel),
            train=train,
            feed=fed,
            saving=saving,
            journal=journal,
            watch=Watch(train, state, self.engine),
            interrupt=interrupt,
            processes=processes,
            parallel=parallel,
        )

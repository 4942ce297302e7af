"""`train`: a configuration and a folder → a trained model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from torch import nn

from diffloom import config
from diffloom.assembly import assemble
from diffloom.checkpoint import open_checkpoint
from diffloom.config import AutoencoderDocument, Document, Resolved
from diffloom.config.plain import plain
from diffloom.hooks import RunInfo
from diffloom.initial import fill_from_files
from diffloom.kinds import Examples
from diffloom.latents.cache import open_cache
from diffloom.latents.unit_scale import EXAMPLES, require_unit_scale
from diffloom.observers import Observers
from diffloom.plugins import Plugins, load_plugins
from diffloom.process import Draws
from diffloom.sentinel import Watch
from diffloom.training.changes import changes, require_resumable
from diffloom.training.defaults import with_defaults
from diffloom.training.diffusion import DiffusionTask, built_loss
from diffloom.training.engine import Engine
from diffloom.training.environment import begin_session
from diffloom.training.faults import faults_told
from diffloom.training.feed import Feed
from diffloom.training.findings import FindingsFile
from diffloom.training.interrupt import Interrupt, TrainingInterrupted
from diffloom.training.loop import Loop
from diffloom.training.metrics import MetricsFile
from diffloom.training.preparation import Prepared, prepare
from diffloom.training.previews import Previews
from diffloom.training.progress import Progress, Silent
from diffloom.training.reconstruction import ReconstructionTask, assemble_autoencoder
from diffloom.training.run_folder import RunFolder
from diffloom.training.split import Split
from diffloom.training.state import TrainState
from diffloom.training.step import OptimizerStep
from diffloom.training.task import Task
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
    a `witness` sees what the run goes on from and what it is fed.
    Raises DiffloomError for what the user can mend, NonFiniteLossError when the loss explodes, and
    TrainingInterrupted, a KeyboardInterrupt, after Ctrl-C or SIGTERM, when everything up to there is saved.
    """
    run = RunFolder(folder)
    run.require(resume=resume)
    prepared = prepare(resolved.document)
    engine = Engine(prepared.train, device=device)
    place = engine.device
    lock = run.hold()
    try:
        run.require(resume=resume)  # again, now that no other process can be at it
        # The caller's generators stay as they are.
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []), faults_told(run):
            session = _Session(run, prepared, plugins or load_plugins(), progress or Silent(), engine, witness)
            session.go(resolved)
    finally:
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
        run, train = self.run, self.prepared.train
        run.remove_leftovers()
        if run.is_begun:
            self._require_same()
        if run.is_finished(steps=train.steps, sampled=train.sample_every is not None):
            self.progress.line(
                f"{run.path}: finished already, after step {train.steps}: nothing is left to do"
            )
            return
        device = self.engine.device
        state = self._state(self._task(device))
        feed = self._feed(state.task)
        if state.step == 0:
            self._require_unit_scale(state.task, feed)
        text = config.to_yaml(self.prepared.document, self.plugins.registry)
        run.write_configs(given=resolved.given, resolved=text)
        info = RunInfo(run.path, text, state.step, train.steps)
        observers = Observers(self.plugins.manager, info)
        trackers = Trackers(train.trackers, info)
        metrics = MetricsFile(run.metrics, step=state.step)
        self.progress.line(f"{run.path}: at step {state.step} of {train.steps}, on {device}")
        record = begin_session(
            run.path,
            resolved,
            self.prepared,
            first_step=state.step,
            device=device,
            processes=self.engine.split.processes,
        )
        reason = "failed"
        observers.run_start()
        self.progress.begin(first_step=state.step, last_step=train.steps, batch_size=train.batch_size)
        try:
            with Interrupt() as interrupt:
                self._loop(
                    state=state,
                    feed=feed if self.witness is None else self.witness(state, feed, text),
                    text=text,
                    metrics=metrics,
                    observers=observers,
                    trackers=trackers,
                    interrupt=interrupt,
                ).run()
            reason = "finished"
        except TrainingInterrupted:
            reason = "interrupted"
            raise
        finally:
            self.progress.end()
            metrics.close()
            trackers.close(reason)
            observers.run_end(state.step, reason)
            record.end(step=state.step, reason=reason)
        self.progress.line(f"{run.path}: finished after step {state.step}")

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

    def _task(self, device: torch.device) -> Task:
        """What is trained, with fresh weights."""
        document, examples, seed = self.prepared.document, self.prepared.examples, self.prepared.train.seed
        if isinstance(document, AutoencoderDocument):
            module = assemble_autoencoder(document, seed=seed)
            self._fill_from_files(module)
            return ReconstructionTask(
                document=document, module=module.to(device), examples=examples, seed=seed
            )
        pipeline = assemble(document, seed=seed, registry=self.plugins.registry)
        self._fill_from_files(pipeline.module)
        pipeline.to(device)
        return DiffusionTask(
            pipeline, built_loss(pipeline, seed=seed), Previews(pipeline, examples, seed=seed)
        )

    def _fill_from_files(self, module: nn.ModuleDict) -> None:
        """Weights that the configuration names files for; not where a checkpoint of the run has them all."""
        if self.run.latest() is None:
            fill_from_files(self.prepared.document, module, registry=self.plugins.registry)

    def _state(self, task: Task) -> TrainState:
        """The beginning, or the newest checkpoint."""
        state = TrainState(task, self.prepared.train)
        latest = self.run.latest()
        if latest is not None:
            state.load(open_checkpoint(latest))
        return state

    def _feed(self, task: Task) -> Feed:
        """The examples, or in their place those of a cache, held against the task's own encoder."""
        document, train = self.prepared.document, self.prepared.train
        examples: Examples = self.prepared.examples
        shape: tuple[int, ...] = document.image.info.shape
        if isinstance(document, Document) and document.latents is not None:
            cached = open_cache(Path(document.latents), document, task.module["space"], examples)
            examples, shape = with_defaults(cached, document), cached.shape
        return Feed(
            examples=examples,
            keys=task.conditions,
            shape=shape,
            buckets=self.prepared.buckets,
            seed=train.seed,
            split=self.engine.split,
            workers=train.workers,
            pinned=task.device.type == "cuda",
        )

    def _require_unit_scale(self, task: Task, feed: Feed) -> None:
        """Raises ConfigError for latents that no noise schedule is made for, before anything is written."""
        if not isinstance(task, DiffusionTask) or task.pipeline.document.space.lossless:
            return
        near = replace(
            feed,
            workers=0,
            pinned=False,
            split=Split(batch_size=min(EXAMPLES, self.prepared.train.batch_size)),
        )
        steps = -(-EXAMPLES // near.split.batch_size)
        batches = near.batches(first_step=0, last_step=steps)
        x0 = (task.x0(batch, Draws.of(feed.seed, batch.positions)) for batch in batches)
        std = require_unit_scale(x0, channels=task.pipeline.document.space_info.channels)
        self.progress.line(f"{self.run.path}: the latents' standard deviation is {std:.3g}")

    def _loop(
        self,
        *,
        state: TrainState,
        feed: Fed,
        text: str,
        metrics: MetricsFile,
        observers: Observers,
        trackers: Trackers,
        interrupt: Interrupt,
    ) -> Loop:
        train = self.prepared.train
        return Loop(
            state=state,
            optimizer_step=OptimizerStep(state, train, self.engine),
            train=train,
            feed=feed,
            folder=self.run,
            config=text,
            metrics=metrics,
            findings=FindingsFile(self.run.findings, step=state.step),
            observers=observers,
            trackers=trackers,
            watch=Watch(train, state, self.engine),
            progress=self.progress,
            interrupt=interrupt,
        )

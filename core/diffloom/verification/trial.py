"""A configuration's trial: some steps straight, against half of them, SIGKILL, and the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.errors import ConfigError, Problem, RunError
from diffloom.plugins import load_plugins
from diffloom.training.run_folder import RunFolder
from diffloom.verification.comparison import (
    Comparison,
    compare_checkpoints,
    compare_examples,
    compare_files,
    compare_rows,
)
from diffloom.verification.session import Session
from diffloom.verification.verdict import Stage, Verdict

FEWEST = 4
"""Steps of the shortest trial: one before the checkpoint, one after it that the kill undoes."""
KILLED = -9
Start = Callable[[Session, Path], int]
"""Runs a session in a process of its own, what it says in a file, and gives its exit code (−9 after SIGKILL)."""


def start_process(session: Session, log: Path) -> int:
    """A fresh interpreter."""
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "diffloom.verification", session.to_json()]
        return subprocess.run(command, stdout=file, stderr=file, check=False).returncode


def verify_resume(
    file: str,
    overrides: Sequence[str] = (),
    *,
    steps: int,
    folder: Path,
    plugins: Sequence[str] = (),
    device: str | None = None,
    start: Start = start_process,
) -> Verdict:
    """Train `steps` steps straight, and again with a kill after half of them and a resume; compare all there is.

    Everything is written into `folder`, which holds up to five checkpoints at the end. The configuration stays as it
    is, but for when checkpoints, rows and pictures are due; `overrides` come after these changes.
    Raises DiffloomError for a configuration that does not train.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RunError("the trial is one process at a time; start it without a launcher")
    own = _overrides(steps)
    registry = load_plugins(plugins).registry
    train = config.load(file, (*own, *overrides), registry=registry).document.train
    if train is None:
        raise ConfigError([Problem("train", "training needs a `train:` section")])
    if not FEWEST <= steps <= train.steps or steps % 2:
        raise RunError(
            f"--steps {steps}: must be an even number from {FEWEST} to train.steps ({train.steps})"
        )
    if train.checkpoint_every != steps // 2:
        raise RunError("train.checkpoint_every: is set by the trial, to half of --steps; leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    trial = _Trial(file, (*own, *overrides), tuple(plugins), device, folder, steps, start)
    return trial.run()


def _overrides(steps: int) -> tuple[str, ...]:
    """Rows are due where no checkpoint is, so that one goes over the kill; pictures are due never."""
    half = max(steps // 2, 1)
    log_every = next(every for every in range(2, half + 2) if half % every)
    return (
        f"train.checkpoint_every={half}",
        f"train.log_every={log_every}",
        "train.keep_checkpoints=2",
        "train.sample_every=null",
    )


@dataclass(frozen=True)
class _Trial:
    file: str
    overrides: tuple[str, ...]
    plugins: tuple[str, ...]
    device: str | None
    folder: Path
    steps: int
    start: Start

    def run(self) -> Verdict:
        """The three processes, one after another, and what they left. What differs before the kill is not resumed."""
        self._take("straight", "straight", expected=0)
        self._take("killed", "killed", expected=KILLED, kill_before=self.half + 2)
        stages = [Stage("before", f"before the kill, to {self.half}", self._before())]
        if not any(item.difference for item in stages[0].comparisons):
            self._take("resumed", "killed", expected=0, resume=True, restored=str(self.restored))
            stages += [
                Stage("restored", "restored", self._restored()),
                Stage("after", f"after the kill, to {self.steps}", self._after()),
            ]
        title = (
            f"{self.file}: {self.steps} steps straight, against {self.half}, SIGKILL one step later, and on"
        )
        return Verdict(f"{title} to {self.steps}", stages)

    @property
    def half(self) -> int:
        return self.steps // 2

    @property
    def restored(self) -> Path:
        """The state that the resumed run went on from."""
        return self.folder / "restored.safetensors"

    def _order(self, name: str) -> Path:
        return self.folder / f"{name}.examples.jsonl"

    def _take(
        self,
        name: str,
        run: str,
        *,
        expected: int,
        resume: bool = False,
        kill_before: int | None = None,
        restored: str | None = None,
    ) -> None:
        """One process. Raises RunError when it ends otherwise than it should."""
        session = Session(
            file=self.file,
            overrides=self.overrides,
            plugins=self.plugins,
            device=self.device,
            folder=str(self.folder / run),
            order=str(self._order(name)),
            last_step=self.steps,
            resume=resume,
            kill_before=kill_before,
            restored=restored,
        )
        log = self.folder / f"{name}.log"
        code = self.start(session, log)
        if code != expected:
            told = log.read_text(encoding="utf-8", errors="replace").strip()
            raise RunError(f"the {name} run ended with exit code {code} before it was compared:\n{told}")

    def _before(self) -> list[Comparison]:
        """Two runs of the same steps, neither of them disturbed yet."""
        straight, killed = self._run("straight"), self._run("killed")
        return [
            compare_examples(
                self._order("straight"),
                self._order("killed"),
                first_step=1,
                last_step=self.half + 1,
                what="the second run",
            ),
            compare_rows(straight.metrics, killed.metrics, first_step=1, last_step=self.half),
            *self._tensors(straight.checkpoint(self.half), killed.checkpoint(self.half)),
        ]

    def _restored(self) -> list[Comparison]:
        """What was saved, and what the resumed run went on from."""
        return self._tensors(self._run("straight").checkpoint(self.half), self.restored)

    def _after(self) -> list[Comparison]:
        """The rest of the steps: never disturbed, and after the kill."""
        straight, killed = self._run("straight"), self._run("killed")
        return [
            compare_examples(
                self._order("straight"),
                self._order("resumed"),
                first_step=self.half + 1,
                last_step=self.steps,
                what="the resumed run",
            ),
            compare_rows(straight.metrics, killed.metrics, first_step=self.half + 1, last_step=self.steps),
            *self._tensors(straight.checkpoint(self.steps), killed.checkpoint(self.steps)),
            *self._files("samples"),
            *self._files("snapshots"),
        ]

    def _run(self, name: str) -> RunFolder:
        return RunFolder(self.folder / name)

    def _tensors(self, one: Path, two: Path) -> list[Comparison]:
        return compare_checkpoints(open_checkpoint(one), open_checkpoint(two))

    def _files(self, name: str) -> list[Comparison]:
        """What the runs wrote into a folder of theirs beside the checkpoints, where they did."""
        folders = self.folder / "straight" / name, self.folder / "killed" / name
        return [compare_files(*folders, name=f"{name}/")] if any(map(_has_files, folders)) else []


def _has_files(folder: Path) -> bool:
    return any(folder.glob("[!.]*"))

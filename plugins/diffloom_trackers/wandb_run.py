"""A run told to Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL.Image import Image

from diffloom import RunInfo
from diffloom.errors import DiffloomError
from diffloom_trackers.library import imported
from diffloom_trackers.recorded import tell_recorded
from diffloom_trackers.wandb import WeightsAndBiases
from diffloom_trackers.wandb_folder import WandbFolder

EXIT_CODES = {"finished": 0, "interrupted": 255, "failed": 1}
"""What the server makes of a run's end: 255 is its own code for one that somebody stopped."""


class WandbRun:
    """Figures and pictures go by their step; findings are alerts, and stand in the summary.

    What the run was told before it was resumed is not told again: the steps that are taken again give the same numbers.
    """

    def __init__(self, config: WeightsAndBiases, run: RunInfo) -> None:
        self._wandb = imported("wandb", extra="wandb")
        self._folder = WandbFolder(run.folder)
        kept = self._folder.keep_ended()
        try:
            self._run = self._wandb.init(
                id=self._folder.run_id,
                project=config.project,
                name=config.run_name or run.folder.resolve().name,
                entity=config.entity,
                tags=config.tags or None,
                # wandb reads its environment once in a process; this run's is the one that counts.
                mode=config.mode or os.environ.get("WANDB_MODE"),
                config=yaml.safe_load(run.config),
                allow_val_change=True,  # a resumed run may take more steps
                dir=str(run.folder),
                resume="allow",
                reinit="create_new",
                settings=self._wandb.Settings(console="off"),  # the terminal stays ours
            )
        except self._wandb.Error as error:
            raise DiffloomError(
                f"train.trackers: wandb: {error}; mend that, or set `mode: offline` and `wandb sync` later"
            ) from error
        self._told = self._last_told = kept if self._run.offline else max(0, self._run.starting_step - 1)
        tell_recorded(self, run, after=self._told)

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        self._log(step, {name: value for name, value in row.items() if name != "step"})

    def picture(self, step: int, name: str, picture: Image) -> None:
        self._log(step, {name: self._wandb.Image(picture, caption=f"step {step}")})

    def finding(self, step: int, title: str, text: str) -> None:
        if step > self._told:
            self._run.alert(title=title, text=f"step {step}: {text}", level=self._wandb.AlertLevel.WARN)
            self._run.summary[f"findings/{title}"] = f"step {step}: {text}"

    def close(self, reason: str) -> None:
        self._run.summary["ended"] = reason
        if not self._run.offline:
            self._run.finish(exit_code=EXIT_CODES[reason])
            return
        with self._folder.written(Path(self._run.dir).parent, last_step=self._last_told):
            self._run.finish(exit_code=EXIT_CODES[reason])

    def _log(self, step: int, news: Mapping[str, Any]) -> None:
        if step > self._told:
            self._run.log(dict(news), step=step)
            self._last_told = step

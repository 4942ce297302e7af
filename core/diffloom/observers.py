"""Telling plugins what happens in a run. They listen; they cannot change a number, nor end the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pluggy

from diffloom.hooks import RunInfo

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffloom.sentinel import Finding

logger = logging.getLogger("diffloom")


class Observers:
    """The observers among the plugins, for one run. One that raises is reported once and hears no more."""

    def __init__(self, manager: pluggy.PluginManager, run: RunInfo) -> None:
        self._manager = manager
        self._run = run
        self._silenced: set[object] = set()

    def run_start(self) -> None:
        """Training begins, or resumes."""
        self._tell("diffloom_run_start", dict)

    def step_end(self, step: int, metrics: Mapping[str, float]) -> None:
        """A row of metrics was logged."""
        self._tell("diffloom_step_end", lambda: {"step": step, "metrics": MappingProxyType(dict(metrics))})

    def samples(self, step: int, grid: Image) -> None:
        """Samples were drawn."""
        self._tell("diffloom_samples", lambda: {"step": step, "grid": grid.copy()})

    def checkpoint_saved(self, step: int, path: Path) -> None:
        """A checkpoint is on disk."""
        self._tell("diffloom_checkpoint_saved", lambda: {"step": step, "path": path})

    def finding(self, finding: Finding) -> None:
        """The sentinel noticed something."""
        self._tell("diffloom_finding", lambda: {"finding": finding})

    def run_end(self, step: int, reason: str) -> None:
        """Training stops."""
        self._tell("diffloom_run_end", lambda: {"step": step, "reason": reason})

    def _tell(self, hook: str, news: Callable[[], dict[str, Any]]) -> None:
        """Call each plugin's implementation by itself, with copies of its own."""
        listeners = [impl.plugin for impl in getattr(self._manager.hook, hook).get_hookimpls()]
        for plugin in listeners:
            if plugin in self._silenced:
                continue
            others = [other for other in listeners if other is not plugin]
            try:
                self._manager.subset_hook_caller(hook, remove_plugins=others)(run=self._run, **news())
            except (Exception, SystemExit) as error:
                self._silenced.add(plugin)
                name = self._manager.get_name(plugin)
                logger.warning(
                    "plugin %s: %s raised %s: %s; it is not told of the rest of this run",
                    name,
                    hook,
                    type(error).__name__,
                    error,
                    exc_info=logger.isEnabledFor(logging.DEBUG),
                )

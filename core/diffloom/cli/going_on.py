"""The command that goes on with a run that broke off."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHED = "LOCAL_RANK"
"""What torchrun and `accelerate launch` tell each of their processes."""


@dataclass(frozen=True, kw_only=True)
class GoingOn:
    """What a run was started with."""

    file: str
    overrides: Sequence[str]
    folder: Path
    plugins: Sequence[str]
    device: str | None
    requeue: bool
    """Whether it was started with `--requeue`, and so goes on with that."""

    def __str__(self) -> str:
        """As a shell takes it; a launcher's own command where one started this process and others beside it."""
        words = self._launched() if LAUNCHED in os.environ else self._own()
        return shlex.join(words)

    def _own(self) -> list[str]:
        options = [("-o", str(self.folder)), *(("-p", plugin) for plugin in self.plugins)]
        if self.device is not None:
            options.append(("--device", self.device))
        listed = [word for pair in options for word in pair]
        return ["diffloom", "train", self.file, *listed, *self._option(), *self.overrides]

    def _launched(self) -> list[str]:
        import psutil

        words: list[str] = psutil.Process(os.getppid()).cmdline()
        return [*words, *(word for word in self._option() if word not in words)]

    def _option(self) -> list[str]:
        """What tells a run that is there to go on; nothing where it broke off before its folder was made."""
        if self.requeue:
            return ["--requeue"]
        return ["--resume"] if self.folder.exists() else []

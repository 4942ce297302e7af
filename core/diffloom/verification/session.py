"""One process of a trial: trains a configuration for some steps, and is perhaps killed in between."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training.progress import Lines
from diffloom.training.run import train
from diffloom.verification.recorder import EnoughError, Recorder


@dataclass(frozen=True, kw_only=True)
class Session:
    """What the process is to do."""

    file: str
    overrides: tuple[str, ...]
    plugins: tuple[str, ...]
    device: str | None
    folder: str
    """The run folder."""
    resume: bool = False
    order: str
    """Where to write what each step was fed."""
    restored: str | None = None
    """Where to write the state that was gone on from."""
    last_step: int
    kill_before: int | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Session:
        fields = json.loads(text)
        return cls(**{**fields, **{key: tuple(fields[key]) for key in ("overrides", "plugins")}})

    def run(self) -> None:
        """Train in this process. Raises DiffloomError as training does."""
        loaded = load_plugins(self.plugins)
        resolved = config.load(self.file, self.overrides, registry=loaded.registry)
        recorder = Recorder(
            order=Path(self.order),
            restored=None if self.restored is None else Path(self.restored),
            last_step=self.last_step,
            kill_before=self.kill_before,
        )
        try:
            train(
                resolved,
                self.folder,
                plugins=loaded,
                resume=self.resume,
                device=self.device,
                progress=Lines(),
                witness=recorder,
            )
        except EnoughError:
            return

"""All that is known of one run, read from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from diffloom.errors import RunError
from diffloom.report.film import Film, read_film
from diffloom.report.history import History, read_history
from diffloom.report.settings import Setting, settings
from diffloom.report.standing import Standing, read_standing
from diffloom.report.weights import Weights, read_weights
from diffloom.training.environment import sessions_of
from diffloom.training.run_folder import RESOLVED, RunFolder


@dataclass(frozen=True)
class Found:
    """What the sentinel found, as findings.jsonl has it."""

    step: int
    cause: str
    text: str


@dataclass(frozen=True, eq=False)
class Account:
    """One run."""

    name: str
    """What tells it from the others of a page: its folder's name, or as much of the path as that takes."""
    folder: str
    """As it was named."""
    config: dict[str, Any]
    """Resolved."""
    config_text: str
    """The same as it stands in the folder."""
    settings: tuple[Setting, ...]
    sessions: tuple[dict[str, Any], ...]
    standing: Standing
    history: History
    findings: tuple[Found, ...]
    film: Film
    weights: Weights

    @property
    def summary(self) -> str:
        """What the model is, in a line."""
        image, space = self.config["image"], self.config["space"]["type"]
        size = image["size"] if isinstance(image["size"], list) else [image["size"], image["size"]]
        picture = f"{size[0]}×{size[1]}×{image['channels']} pictures"
        if "autoencoder" in self.config:
            return f"{picture}; an autoencoder, {space}"
        parts = [self.config[part]["type"] for part in ("backbone", "schedule", "prediction")]
        conditions = ", ".join(self.config["conditioners"]) or "no condition"
        return f"{picture} in {space}; {parts[0]} with {conditions}; {parts[1]}; {parts[2]}"


def read_account(folder: Path, *, name: str) -> Account:
    """Read a run's folder, whatever its state. Raises RunError for one that is no run, or damaged."""
    run = RunFolder(folder)
    if not run.is_begun:
        raise RunError(f"{folder}: is no run folder (it has no {RESOLVED}); name a run")
    text = run.resolved.read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    sessions = tuple(sessions_of(run.path))
    history = read_history(run.metrics)
    return Account(
        name=name,
        folder=str(folder),
        config=config,
        config_text=text,
        settings=tuple(settings(config, sessions[-1]["origins"] if sessions else None)),
        sessions=sessions,
        standing=read_standing(run, history, sessions, last_step=config["train"]["steps"]),
        history=history,
        findings=tuple(_findings(run.findings)),
        film=read_film(run.samples),
        weights=read_weights(run),
    )


def names_of(folders: list[Path]) -> list[str]:
    """A name for each folder: its own where it has no namesake, and with those above it where it has."""
    resolved = [folder.resolve().parts for folder in folders]
    depth = 1
    while len({parts[-depth:] for parts in resolved}) < len({*resolved}):
        depth += 1
    return ["/".join(parts[-depth:]) for parts in resolved]


def _findings(path: Path) -> list[Found]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break  # being written
        try:
            entry = json.loads(line)
            found.append(Found(int(entry["step"]), str(entry["cause"]), str(entry["text"])))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}:{number}: is no finding; mend or remove this line") from error
    return found

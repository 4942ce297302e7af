"""environment.json: on what each session of a run computed, from what command, and how it ended.

A session is one process group's time at a run: from its start, or a resume, to its end. One that was killed has no end.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

import diffloom
from diffloom.config.plain import lines, plain
from diffloom.errors import DataError, RunError
from diffloom.training.replacement import replace_text

if TYPE_CHECKING:
    import torch

    from diffloom.config import AnyDocument, Resolved
    from diffloom.kinds import Examples
    from diffloom.training.preparation import Prepared

logger = logging.getLogger("diffloom")

NAME = "environment.json"
LEARNED = "learned from the data"
"""The origin of a value that the file left open and the data settled."""
SETTLED = ("train.precision", "train.convolutions")
CHOSEN = "chosen for the machine that the run began on"
"""The origin of their values where they were `auto`."""
DIGESTED = 16
"""How many examples, evenly spread, the digest of the data is made of: all of a large set would take hours."""
VARIABLES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG")
"""Environment variables that change how fast, or in what order, torch adds up."""


class SessionRecord:
    """The entry of the session that goes on, the last of `sessions` in the file."""

    def __init__(self, folder: Path, session: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        self._sessions = [*sessions_of(folder), dict(session)]
        self._write()

    def end(self, *, step: int, reason: str) -> None:
        """Say how it ended, after which step, and by which error, where one is on its way up.

        A full disk is told and no more: whatever ends the run is the news.
        """
        error = sys.exception()
        told = "" if error is None else f"{type(error).__name__}: {error}"
        self._sessions[-1] |= {"ended": _now(), "last_step": step, "reason": reason, "error": told}
        try:
            self._write()
        except RunError as failure:
            logger.warning("%s", failure)

    def _write(self) -> None:
        replace_text(self.path, json.dumps({"sessions": self._sessions}, indent=1) + "\n")


def begin_session(
    folder: Path,
    resolved: Resolved,
    prepared: Prepared,
    *,
    first_step: int,
    device: torch.device,
    processes: int,
) -> SessionRecord:
    """Write down what begins: `prepared` is what the data made of `resolved`. Raises RunError when the disk is full."""
    return SessionRecord(
        folder,
        {
            "began": _now(),
            "first_step": first_step,
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "directory": str(Path.cwd()),
            "process": os.getpid(),
            "config_digest": resolved.digest,
            "origins": _origins(resolved, prepared.document),
            "data": _data(prepared.examples, seed=prepared.train.seed),
            "versions": _versions(device),
            "machine": _machine(device, processes=processes),
            "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        },
    )


def sessions_of(folder: Path) -> list[dict[str, Any]]:
    """What is written of a run's sessions, the first one first; empty for a run that says nothing."""
    path = folder / NAME
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["sessions"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: is damaged: {error}; remove it, nothing but reports needs it") from error
    assert isinstance(found, list)
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _origins(resolved: Resolved, document: AnyDocument) -> dict[str, str]:
    """Dotted path → where the value was written; what is not in it is a default."""
    before = {path: text for text, path in lines(plain(resolved.document)) if path}
    after = {path: text for text, path in lines(plain(document)) if path}
    learned = {path: LEARNED for path, text in after.items() if before.get(path) != text}
    chosen = {path: CHOSEN for path in SETTLED if path in learned}
    return {**resolved.origins, **learned, **chosen}


def _data(examples: Examples, *, seed: int) -> dict[str, Any]:
    """How many examples there are, and a digest by which another copy of the data can be told to be the same."""
    from diffloom.latents.digest import DataDigest, picture_digest
    from diffloom.process import keyed_generator

    digest = DataDigest()
    last = len(examples) - 1
    chosen = sorted({round(part * last / (DIGESTED - 1)) for part in range(DIGESTED)})
    for index in chosen:
        try:
            example = examples.example(index, keyed_generator(seed, index, 0, "digest"))
        except DataError:
            digest.add(b"unreadable")  # the reader of the run tells of it
        else:
            digest.add(picture_digest(example.image_CHW))
    return {"examples": len(examples), "digested": len(chosen), "digest": digest.hexdigest()}


def _versions(device: torch.device) -> dict[str, str]:
    """Python, diffloom and what it directly needs."""
    import torch

    found = {"python": platform.python_version(), "diffloom": diffloom.__version__}
    for text in importlib.metadata.requires("diffloom") or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found[requirement.name] = importlib.metadata.version(requirement.name)
    if device.type == "cuda":
        found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]
    return found


def _machine(device: torch.device, *, processes: int) -> dict[str, Any]:
    """The computer, and the device that the main process computes on."""
    import torch

    found: dict[str, Any] = {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "device": str(device),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"gpu": properties.name, "gpu_memory_bytes": properties.total_memory}
    return found


def _processor() -> str:
    """The processor's model, where Linux tells it; elsewhere what Python knows."""
    told = Path("/proc/cpuinfo")
    models = (
        [line for line in told.read_text().splitlines() if line.startswith("model name")]
        if told.exists()
        else []
    )
    return models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()

"""Memory that can still be had: of a device, and of the CPU's as much as the container or the job may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

GROUPS = Path("/sys/fs/cgroup")
"""Where Linux keeps its control groups, which bound what containers, services and a scheduler's jobs may take."""
OWN_GROUPS = Path("/proc/self/cgroup")
"""Which of them this process is in."""


class Files(NamedTuple):
    """What a group says, and where."""

    most: str
    used: str
    cached: str
    """In `memory.stat`: of what is used, files' contents, given back when memory is needed."""


SECOND = Files("memory.max", "memory.current", "inactive_file")
FIRST = Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Of the two versions of control groups."""


def available_bytes(device: torch.device) -> int | None:
    """Bytes that a computation on a device may take; None where nobody says.

    Of the CPU's memory it is what every control group around this process leaves, and this process's part of that where
    a launcher has begun several here.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # torch's allocator gives out first what it has kept.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type not in ("cpu", "mps"):
        return None
    import psutil  # networks are built without it

    free = min([int(psutil.virtual_memory().available), *_left()])
    return max(0, free) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _left() -> Iterator[int]:
    """What each group with a limit still gives, from this process's own to the outermost."""
    lines = OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            files, top = SECOND, GROUPS
        elif "memory" in controllers.split(","):
            files, top = FIRST, GROUPS / "memory"
        else:
            continue
        # In a container the path may be the host's, and is not there: then the outermost is the container's own.
        own = top / path.lstrip("/")
        for group in (own, *own.parents):
            if group.is_relative_to(top) and (group / files.most).exists():
                yield from _left_by(group, files)


def _left_by(group: Path, files: Files) -> Iterator[int]:
    most = (group / files.most).read_text().strip()
    if most != "max":
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        yield int(most) - int((group / files.used).read_text()) + int(stat[files.cached])

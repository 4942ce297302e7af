"""Threads that wait must not count as work: OpenMP's spin, and their CPU time would be taken for ours."""

from __future__ import annotations

import os
import sys

PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}


def wait_passively(module: str) -> None:
    """Begin this program anew, as `python -m module`, where OpenMP was not told so before it was loaded."""
    if any(os.environ.get(name) != value for name, value in PASSIVE.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], os.environ | PASSIVE)

"""Start-up, against the number of installed plugins: each a package of its own, as somebody might publish it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.scaling.growth import Cost, Growth

PLUGIN = '''\
"""A plugin with one spacing."""

from diffloom import hookimpl
from diffloom.kinds import Spacing


class Plain(Spacing):
    """Says nothing new."""

    name = "plain"

    offset: float = 0.0
    """A field."""

    def levels(self, schedule, *, steps):
        return schedule.levels(range(steps))


@hookimpl
def diffloom_register(registrar):
    registrar.add(Plain)
'''
PROBE = """
import json, time
from pathlib import Path
from diffloom.plugins import load_registry
registry = load_registry()
assert not registry.quarantined, registry.quarantined
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
most = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)
print(json.dumps([time.process_time(), most, len(registry.versions)]))
"""


def growths() -> Iterator[Growth]:
    """A process that loads all plugins, and ends."""
    yield Growth(
        "installed plugins",
        "a process that loads every plugin beside our own",
        (1, 8, 32, 128),
        _loading,
        "each plugin is imported and asked for its components once; Python and our own plugins come before the first",
    )


def _loading(count: int) -> Cost:
    with TemporaryDirectory() as folder:
        for number in range(count):
            _install(Path(folder), f"dummy_{number}")
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])},
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, mib, distributions = json.loads(done.stdout)
    assert distributions > count, "diffloom, and each of these"
    return Cost(seconds, mib)


def _install(folder: Path, name: str) -> None:
    """What an installer leaves: the package, and what it says of itself."""
    (folder / f"{name}.py").write_text(PLUGIN)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[diffloom.plugins]\n{name} = {name}\n")

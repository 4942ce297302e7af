"""Naming components must not import torch: `diffloom --help` and `config check` answer at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from types import ModuleType

from diffloom.testing.report import Failure

_PROGRAM = """
import importlib, importlib.util, json, sys, traceback

path, targets = json.load(sys.stdin)
sys.path[:] = path
import diffloom.kinds, diffloom.hooks
guilty = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            frames = [f for f in traceback.extract_stack()[:-1] if not f.filename.startswith("<")]
            guilty.append(f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "it")

sys.meta_path.insert(0, Watch())
for name, file in targets:
    if file is None:
        importlib.import_module(name)
    else:
        spec = importlib.util.spec_from_file_location(name, file)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
print(json.dumps(guilty))
"""


def torch_at_import(distribution: str, modules: Sequence[ModuleType]) -> Failure | None:
    """The failure of a distribution whose plugin modules import torch, found in a fresh interpreter."""
    targets = [
        (m.__name__, m.__file__ if m.__name__.startswith("diffloom_local_") else None) for m in modules
    ]
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([sys.path, targets]),
        capture_output=True,
        text=True,
        check=False,
    )
    names = ", ".join(module.__name__ for module in modules)
    if result.returncode:
        last = result.stderr.strip().splitlines()[-1]
        return Failure(distribution, "imports_without_torch", f"importing {names} alone failed: {last}")
    guilty = json.loads(result.stdout.splitlines()[-1])
    if not guilty:
        return None
    remedy = "import it inside build()"
    return Failure(
        distribution, "imports_without_torch", f"importing {names} imports torch, in {guilty[0]}; {remedy}"
    )

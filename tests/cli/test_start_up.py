"""What the command imports before it answers: counted, in processes of their own, never timed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("PIL", "accelerate", "numpy", "pydantic", "rich", "safetensors", "torch", "yaml")


def imported(*words: str) -> list[str]:
    """The modules that are there once `diffloom WORDS` has answered."""
    code = (
        "import sys\nfrom diffloom.cli import main\n"
        f"sys.argv = ['diffloom', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "import json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return modules


@pytest.mark.parametrize("words", [("--help",), ("sample", "--help"), ("train", "--help"), ("--version",)])
def test_help_needs_none_of_the_libraries(words: tuple[str, ...]) -> None:
    modules = imported(*words)
    assert not set(HEAVY) & set(modules)
    assert not any(name.startswith(("diffloom_", "diffloom.kinds", "diffloom.config")) for name in modules)


def test_loading_the_plugins_imports_no_torch_and_builds_no_validator() -> None:
    code = (
        "import sys, json\nfrom diffloom.plugins import load_registry\n"
        "parts = load_registry().components.values()\n"
        "built = [p.__name__ for p in parts if vars(p)['__pydantic_complete__']]\n"
        "print(json.dumps([len(parts), built, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, built, torch = json.loads(done.stdout)
    assert count > 100
    assert not torch
    assert len(built) < 10  # a few stand as defaults in the fields of others

"""`diffloom config` and `diffloom schema` as their users run them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diffloom.config import parse
from diffloom.plugins import load_registry

PLUGIN = '''
"""A plugin file."""
from diffloom import hookimpl
from diffloom.kinds import TimeSpacing

class Moon(TimeSpacing):
    """Times of the moon."""
    name = "moon"
    phase: int = 4

    def times(self, *, axis, steps):
        return tuple(float(t) for t in range(steps)[::-1])

@hookimpl
def diffloom_register(registrar):
    registrar.add(Moon)
'''
FILE = """\
image: {size: 8, channels: 1}
backbone: {type: unet, channels: [32, 64], attention_resolutions: [], norm_groups: 8}
schedule: cosine
prediction: v
sampling: {sampler: ddim, steps: 25, spacing: trailing}
"""
NO_TORCH = """
import sys
from diffloom.cli import main
sys.argv[0] = "diffloom"
try:
    main()
finally:
    loaded = sorted(name for name in ("torch", "numpy") if name in sys.modules)
    assert not loaded, loaded
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("moon.yaml").write_text(FILE)
    Path("my_plugin.py").write_text(PLUGIN)
    return tmp_path


def diffloom(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a fresh Python, which must not import torch or numpy on the way."""
    return subprocess.run(
        [sys.executable, "-c", NO_TORCH, *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_check(folder: Path) -> None:
    result = diffloom("config", "check", "moon.yaml")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "moon.yaml: ok\n"
        "  8×8×1 images in diffloom/pixel; diffloom/unet with no condition; diffloom/cosine of 1000 times; "
        "diffloom/v; 25 steps of diffloom/ddim\n"
    )


def test_check_tells_every_problem(folder: Path) -> None:
    result = diffloom("config", "check", "moon.yaml", "schedule=cosin", "sampling.steps=x")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: override 'schedule=cosin': schedule: unknown schedule 'cosin'; did you mean 'cosine'?\n"
        "override 'sampling.steps=x': sampling.steps: expected a whole number, got 'x'\n"
    )


def test_check_without_a_file(folder: Path) -> None:
    result = diffloom("config", "check", "mon.yaml")
    assert (result.returncode, result.stderr) == (
        2,
        "error: mon.yaml: no such file; did you mean moon.yaml?\n",
    )


def test_show_loads_again(folder: Path) -> None:
    result = diffloom("config", "show", "moon.yaml", "sampling.steps=7")
    assert result.returncode == 0
    registry = load_registry()
    shown = parse(result.stdout, name="shown", registry=registry)
    assert shown.document == parse(FILE.replace("25", "7"), name="f", registry=registry).document
    assert shown.to_yaml() == result.stdout


def test_show_origin(folder: Path) -> None:
    """Comments in one column, and nothing else changed: the text still loads to the same document."""
    plain = diffloom("config", "show", "moon.yaml", "sampling.steps=7").stdout
    result = diffloom("config", "show", "moon.yaml", "sampling.steps=7", "--origin")
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert [line.partition(" #")[0].rstrip() for line in lines] == plain.splitlines()
    assert len({line.index(" # ") for line in lines if " # " in line}) == 1
    origins = {line.split()[0]: line.partition(" # ")[2] for line in lines if " # " in line}
    assert origins["size:"] == "moon.yaml:1:15"
    assert origins["steps:"] == "override 'sampling.steps=7'"
    assert origins["clip:"] == "default"
    assert origins["diffloom:"] == "installed"


def test_plugin_file(folder: Path) -> None:
    words = ("moon.yaml", "sampling.spacing=my-plugin/moon", "sampling.spacing.phase=3")
    assert "my-plugin is not installed" in diffloom("config", "check", *words).stderr
    assert diffloom("config", "check", "-p", "my_plugin.py", *words).returncode == 0
    shown = diffloom("config", "show", "--plugin", "my_plugin.py", *words).stdout
    assert "  spacing:\n    type: my-plugin/moon\n    phase: 3\n" in shown
    assert "\n  my-plugin: " in shown


def test_schema(folder: Path) -> None:
    everything = diffloom("schema", "-p", "my_plugin.py")
    assert everything.returncode == 0
    assert json.loads(everything.stdout)["$defs"]["spacing.my-plugin.moon"]["properties"]["phase"] == {
        "type": "integer",
        "default": 4,
    }
    result = diffloom("schema", "-p", "my_plugin.py", "--only", "my-plugin", "-o", "out.json")
    assert (result.returncode, result.stdout) == (0, "")
    assert "diffloom/" not in Path("out.json").read_text()
    assert "my-plugin/moon" in Path("out.json").read_text()


def test_schema_cannot_be_written(folder: Path) -> None:
    result = diffloom("schema", "-o", "nowhere/out.json")
    assert result.returncode == 2
    assert result.stderr == "error: nowhere/out.json: cannot write the schema: No such file or directory\n"

"""What is imported before the command answers, a model is built, or drawn from: counted, in processes of their own.

Times are the benchmark's (`make bench WORK=startup`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import diffloom
from diffloom.checkpoint import save_checkpoint
from diffloom.config import to_yaml

MODEL = """
image: {size: 8, channels: 1}
conditioners: {label: {type: class_label, classes: 3}}
backbone: {type: unet, channels: [8], blocks_per_level: 1, attention_resolutions: [8], norm_groups: 4}
schedule: linear
prediction: epsilon
sampling: {sampler: ddim, steps: 2}
"""
HEAVY = ("PIL", "accelerate", "numpy", "pydantic", "rich", "safetensors", "torch", "yaml")


def left_by(program: str, *words: str) -> set[str]:
    """The modules that are there once a Python program has run."""
    code = f"{program}\nimport json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def imported(*words: str) -> set[str]:
    """The modules that are there once `diffloom WORDS` has answered."""
    return left_by(
        "import sys\nfrom diffloom.cli import main\nsys.argv[0] = 'diffloom'\n"
        "try:\n    main()\nexcept SystemExit:\n    pass",
        *words,
    )


@pytest.mark.parametrize("words", [("--help",), ("sample", "--help"), ("train", "--help"), ("--version",)])
def test_help_needs_none_of_the_libraries(words: tuple[str, ...]) -> None:
    modules = imported(*words)
    assert not set(HEAVY) & modules
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


def test_diffloom_itself_imports_none_of_its_parts() -> None:
    modules = left_by("import diffloom")
    assert not set(HEAVY) & modules
    assert {name for name in modules if name.startswith("diffloom")} == {"diffloom"}


def test_a_model_is_built_with_what_its_configuration_names() -> None:
    """Neither with other components, nor with what draws, reads and writes; a mapping needs no YAML either."""
    model = yaml.safe_load(MODEL)
    modules = left_by(f"import diffloom; diffloom.build({model!r}, device='cpu')") - left_by("import torch")
    parts = {name for name in modules if name.startswith("diffloom_") and "." in name}
    assert {name.partition(".")[0] for name in parts} == {
        "diffloom_attention",  # auto
        "diffloom_labels",
        "diffloom_objectives",  # simple
        "diffloom_pixel",
        "diffloom_samplers",  # ddim
        "diffloom_spacings",  # leading
        "diffloom_unet",
    }
    assert not {"diffloom_unet.cross_attention", "diffloom_samplers.churned", "diffloom_labels.token"} & parts
    others = {
        "sympy",
        "packaging",
        "psutil",
        "PIL",
        "yaml",
        "safetensors",
        "accelerate",
        "scipy",
        "torch._dynamo",
    }
    assert not others & modules
    own = {"bridge", "cli", "drawing.folder", "inversion", "planning", "request", "sampling", "training"}
    assert not {f"diffloom.{name}" for name in own} & modules


def test_a_model_is_loaded_and_drawn_from_without_a_compiler(tmp_path: Path) -> None:
    """Although its weights are made without memory first, with an embedding among them."""
    pipe = diffloom.build(yaml.safe_load(MODEL), device="cpu")
    text = to_yaml(pipe.document, pipe.registry)
    groups = {"ema": pipe.module.state_dict(), "frozen": {}}
    save_checkpoint(tmp_path / "model.safetensors", groups, step=1, config=text)
    modules = left_by(
        "import sys, diffloom; pipe = diffloom.load(sys.argv[1], device='cpu'); pipe.sample(label=[1]).images",
        str(tmp_path / "model.safetensors"),
    )
    assert not {"torch._dynamo", "torch._inductor", "sympy", "accelerate", "scipy"} & modules

"""The demo, run as `make demo` runs it. Oracles: a classifier fitted on real digits, and distances to real digits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diffloom.pictures import read_recipe

SCRIPT = Path(__file__).parents[2] / "docs" / "demo" / "digits.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run folder it leaves, and what it prints."""
    folder = tmp_path_factory.mktemp("demo") / "digits"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # other tests run beside it
    words = [sys.executable, str(SCRIPT), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    return folder, done.stdout


@pytest.fixture(scope="module")
def figures(demo: tuple[Path, str]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((demo[0] / "figures.json").read_text())
    return read


def test_the_judge_can_judge(figures: dict[str, Any]) -> None:
    assert figures["judge_accuracy"] >= 0.97


def test_digits_are_the_ones_asked_for(figures: dict[str, Any]) -> None:
    assert figures["accuracy"] >= 0.95


def test_no_class_collapsed(figures: dict[str, Any]) -> None:
    assert figures["spread"] >= 0.60


def test_nothing_is_copied(figures: dict[str, Any]) -> None:
    # Held-out digits lie at 1 by definition: a copying model is near 0, a noisy one far above. Of 500 fair draws
    # 1 % would be below the held-out 1st percentile, itself known from 360 digits: over 5 % would be copying.
    assert 0.8 <= figures["nearness"] <= 1.25
    assert figures["copies"] <= 0.05


def test_it_leaves_a_whole_run_folder(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    assert list((folder / "checkpoints").glob("*.safetensors"))
    for name in ("config.yaml", "config.resolved.yaml", "metrics.jsonl", "loss.png"):
        assert (folder / name).stat().st_size > 0
    with Image.open(folder / "grid.png") as grid:
        assert grid.size == (10 * 66 + 2, 10 * 66 + 2)
    with Image.open(folder / "film.png") as film:
        assert film.size == (10 * 66 + 2, 2 * 66 + 2)
    assert read_recipe(folder / "grid.png")["conditions"]["label"] == [
        label for label in range(10) for _ in range(10)
    ]


def test_it_says_where_to_look_and_what_to_try(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    assert f"{folder}/grid.png" in printed
    assert "Try next" in printed
    assert f"diffloom sample {folder} --label 7" in printed

"""open_clip beside torchvisions of all sorts. Oracle: a fresh interpreter with that torchvision."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
import torch
from torchvision import extension

@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold):
    return dets

@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold):
    return dets

whole = True
"""
"""As the real one's import goes when its compiled part is missing: half of it, then an operator that nobody defined."""

PROGRAM = """
from diffloom_clip.library import open_clip
assert open_clip().marker == "open_clip"
import torch, torchvision
print(torchvision.whole, hasattr(torch.ops.torchvision, "nms"))
try:
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except (NotImplementedError, AttributeError) as error:
    print(type(error).__name__)
"""


def outcome(folder: Path, torchvision: str) -> subprocess.CompletedProcess[str]:
    """The program beside an open_clip and a torchvision of ours."""
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(torchvision)
    (folder / "torchvision" / "extension.py").write_text("")
    (folder / "open_clip.py").write_text('import torchvision\nmarker = "open_clip"\n')
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("torchvision", "told"),
    [
        (BROKEN, ["True True", "NotImplementedError"]),  # imported whole; the operator itself is not there
        ("whole = True", ["True False", "AttributeError"]),  # nothing is defined where nothing is missing
    ],
    ids=["without its operators", "sound"],
)
def test_open_clip_is_imported(tmp_path: Path, torchvision: str, told: list[str]) -> None:
    done = outcome(tmp_path, torchvision)
    assert done.stdout.splitlines() == told, done.stderr


def test_another_failure_of_torchvision_is_not_hidden(tmp_path: Path) -> None:
    done = outcome(tmp_path, "raise RuntimeError('compiled for another CUDA')")
    assert done.returncode
    assert done.stderr.splitlines()[-1] == "RuntimeError: compiled for another CUDA"


def test_a_missing_open_clip_is_told(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['open_clip'] = None\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from diffloom_clip import ClipEncoder; ClipEncoder(architecture='ViT-B-32')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "clip_text needs open_clip; install it with `pip install open_clip_torch`" in done.stderr

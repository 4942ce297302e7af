"""Weights are mapped, not read twice. Oracle: the kernel's own count of what the process holds.

A process of its own loads a checkpoint that is four times as large as its average alone (`raw`, `ema`, an optimiser's
two), so that a copy, or a group that nobody asked for, would show.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import diffloom
from diffloom import config
from diffloom.checkpoint import save_checkpoint
from diffloom.plugins import load_registry

MODEL = {
    "image": {"size": 8, "channels": 1},
    "backbone": {"type": "unet", "attention_resolutions": [8], "blocks_per_level": 2},
    "schedule": {"type": "linear", "steps": 1000},
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 5},
}
PROBE = """
import json, sys
import diffloom
from diffloom.bridge.native import is_native  # what loading imports is no part of what it takes

small, large = sys.argv[1:]
diffloom.load(small, device="cpu")

def status(word):
    line = next(line for line in open("/proc/self/status") if line.startswith(word))
    return int(line.split()[1]) * 1024

open("/proc/self/clear_refs", "w").write("5")
before, anonymous = status("VmRSS"), status("RssAnon")
pipe = diffloom.load(large, device="cpu")
weights = sum(tensor.nbytes for tensor in pipe.module.state_dict().values())
print(json.dumps([weights, status("VmHWM") - before, status("RssAnon") - anonymous]))
"""


def saved(path: Path, channels: list[int]) -> Path:
    document = {**MODEL, "backbone": {**MODEL["backbone"], "channels": channels}}
    pipe = diffloom.build(document, device="cpu")
    state = pipe.module.state_dict()
    groups = {
        "frozen": {},
        "weights": state,
        "ema": {name: tensor.clone() for name, tensor in state.items()},
        "optimizer": {
            f"{name}/{slot}": torch.zeros_like(tensor)
            for name, tensor in state.items()
            for slot in ("m", "v")
        },
    }
    save_checkpoint(path, groups, step=1, config=config.to_yaml(pipe.document, load_registry()))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_loading_takes_the_weights_once(tmp_path: Path) -> None:
    files = [saved(tmp_path / "small.safetensors", [64]), saved(tmp_path / "large.safetensors", [128, 256])]
    assert files[1].stat().st_size > 100e6
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, files)], capture_output=True, text=True, check=True
    )
    weights, most, anonymous = json.loads(done.stdout)
    assert 30e6 < weights < 0.3 * files[1].stat().st_size
    assert most <= 1.1 * weights
    assert (
        anonymous < 0.1 * weights
    )  # the rest is the file's own pages, which the system may drop and read again

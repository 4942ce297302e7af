"""Loading does not hold two copies of the weights. Oracle: the process's own anonymous memory, as Linux counts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from diffloom.bridge import Inferred, theirs_of
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom_unet import UNet

WATCH = """
import sys, threading, time
import torch
import diffloom, diffloom.api
from diffloom.plugins import load_registry
for component in load_registry().of_kind("backbone"):
    list(component.bridges())

def anonymous_bytes():
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024

before, peak, done = anonymous_bytes(), [0], threading.Event()

def watch():
    while not done.is_set():
        peak[0] = max(peak[0], anonymous_bytes())
        time.sleep(0.001)

thread = threading.Thread(target=watch)
thread.start()
module = diffloom.load_component(sys.argv[1], "backbone", device="cpu")
done.set()
thread.join()
weights = sum(p.numel() * p.element_size() for p in module.parameters())
print(weights, max(peak[0], anonymous_bytes()) - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net of 150 MB in a folder as diffusers writes it."""
    space, condition = SpaceInfo(channels=3, height=32, width=32), ConditionInfo()
    part = UNet(
        channels=(128, 256, 512), blocks_per_level=2, attention_resolutions=(16,), time_cos_first=True
    )
    module = part.build(space=space, condition=condition)
    bridge = next(iter(UNet.bridges()))
    folder = tmp_path_factory.mktemp("large")
    config = bridge.config(Inferred(part, {"space": space, "condition": condition}))
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name: tensor.contiguous().clone() for name, tensor in theirs_of(module, bridge).items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    return folder


def test_the_weights_are_in_memory_once(large: Path) -> None:
    """Needs Linux, which alone tells anonymous memory apart from mapped files."""
    told = subprocess.run(
        [sys.executable, "-c", WATCH, str(large)],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1", "PATH": ""},
    )
    weights, peak = map(int, told.stdout.split())
    assert weights > 100e6
    assert peak < 1.25 * weights, f"{peak / weights:.2f} copies"

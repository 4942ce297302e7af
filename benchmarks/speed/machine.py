"""The machine: what it is, and the most it can do."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch")


def description(device: torch.device) -> str:
    """Device, threads and versions, in one line."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{_cpu()}, {torch.get_num_threads()} threads"
    )
    libraries = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    return f"{name}; {platform.system()}, Python {platform.python_version()}, {libraries}"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


@torch.inference_mode()
def peaks(device: torch.device) -> dict[str, float]:
    """The most GFLOP/s that a 3×3 convolution reaches here, by the name of the type: what shares are shares of."""
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        conv = nn.Conv2d(256, 256, 3, padding=1, device=device, dtype=dtype).to(
            memory_format=torch.channels_last
        )
        x = torch.randn(16, 256, 32, 32, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        work = 2 * 9 * 256 * 256 * 16 * 32 * 32 / 1e9
        found[name] = work / min(_seconds(conv, x) for _ in range(6))
    return found


def _seconds(conv: nn.Module, x: torch.Tensor) -> float:
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    began = time.perf_counter()
    conv(x)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - began

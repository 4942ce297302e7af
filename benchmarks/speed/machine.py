"""The machine: what it is, and the most it can do."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from benchmarks.speed.case import Precision
from torch import nn

from diffloom.inference.products import products

LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch")
TRIES = 6
"""Of which the fastest counts."""

Peaks = Mapping[Precision, Mapping[str, float]]
"""GFLOP/s of a 3×3 `convolution` and of a matrix `product`, in each type."""


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
def peaks(device: torch.device) -> Peaks:
    """The most GFLOP/s that this machine reaches, found by trying: what shares are shares of. A second on a CPU."""
    types: tuple[tuple[Precision, torch.dtype], ...] = (("fp32", torch.float32), ("bf16", torch.bfloat16))
    if device.type == "cuda":
        types = (("tf32", torch.float32), *types)
    found = {}
    for name, dtype in types:
        with products(tf32=name == "tf32"):
            found[name] = {
                "convolution": _fastest(*_convolution(device, dtype), device),
                "product": _fastest(*_product(device, dtype), device),
            }
    return found


def told(most: Peaks) -> str:
    """The peaks in a line."""
    return "; ".join(
        f"{name}: " + ", ".join(f"{work} {speed:.0f} GFLOP/s" for work, speed in speeds.items())
        for name, speeds in most.items()
    )


def _convolution(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """Of 256 channels, in the layout that is fastest; and its operations, in 10⁹."""
    count = 256 if device.type == "cuda" else 16  # a GPU is not busy with less
    conv = nn.Conv2d(256, 256, 3, padding=1, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    x_BCHW = torch.randn(count, 256, 32, 32, device=device, dtype=dtype)
    return partial(conv, x_BCHW.to(memory_format=torch.channels_last)), 2 * 9 * 256**2 * count * 32**2 / 1e9


def _product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """Of square matrices; and its operations, in 10⁹."""
    side = 8192 if device.type == "cuda" else 2048
    x, y = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return partial(torch.mm, x, y), 2 * side**3 / 1e9


def _fastest(call: Callable[[], object], gflop: float, device: torch.device) -> float:
    return gflop / min(_seconds(call, device) for _ in range(TRIES))


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began

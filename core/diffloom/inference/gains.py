"""How much faster this device computes in bf16, and by Winograd's way: measured once, kept for the next process.

No flag of a processor tells it: there are some with instructions for bf16 that convolve at half the speed of float32.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor, nn

from diffloom.nn.ready_conv import PlainConv2d
from diffloom.nn.shares import alone
from diffloom.nn.winograd import WinogradConv2d

logger = logging.getLogger("diffloom")
ROUNDS = 5
"""Of which the fastest counts: whatever else the machine does makes a round slower, never faster."""
Times = tuple[float, ...]
"""Seconds by each clock."""
_known: dict[str, Gains] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Gains:
    """The plain time by the other way's: above 1, the other way is faster; 0 where it cannot be gone."""

    convolution: float
    """Of 3×3 convolutions in float32, by bf16."""
    product: float
    """Of matrix products in float32, by bf16."""
    winograd: float = 0.0
    """Of 3×3 convolutions in float32, by `diffloom.nn.winograd`; not measured but on CPUs."""


def gains(device: torch.device, *, threads: int | None = None) -> Gains:
    """The device's gains: the same in every process of this user, on this machine, with this release of torch.

    With as many threads as torch has here, or, where that is said, with 1, as where threads share rows (`in_shares`).
    They are in the user's cache folder; where that cannot be read or written, every process measures anew.
    """
    here = torch.get_num_threads()
    threads = threads or here
    assert threads in {1, here}, threads
    key = f"{_name(device)}; torch {torch.__version__}; {threads} threads; by both clocks"
    with _lock:
        if key not in _known:
            path = _folder() / f"{sha256(key.encode()).hexdigest()[:16]}.json"
            measure = partial(measured, device)
            _known[key] = _read(path, key) or _first_written(
                path, key, measure() if threads == here else alone(measure)
            )
        return _known[key]


@torch.no_grad()
def measured(device: torch.device) -> Gains:
    """Measure them, in a few tens of milliseconds."""
    many = 64 if device.type == "cuda" else 4  # a GPU is not busy with less
    x_BCHW = torch.ones(many, 128, 32, 32, device=device)
    x_BCHW = x_BCHW.to(memory_format=torch.channels_last)  # convolutions follow the layout of what enters
    conv = nn.Conv2d(128, 128, 3, padding=1, device=device)
    x_NK = torch.ones(256 * many, 512, device=device)
    linear = nn.Linear(512, 512, device=device)
    return Gains(
        convolution=_gain(conv, x_BCHW),
        product=_gain(linear, x_NK),
        winograd=_gain_of_winograd() if device.type == "cpu" else 0.0,
    )


def _gain_of_winograd() -> float:
    """A direct convolution's time by that of `WinogradConv2d`."""
    conv = nn.Conv2d(256, 256, 3, padding=1)
    x_BCHW = torch.ones(4, 256, 16, 16).to(memory_format=torch.channels_last)
    return _in_turns(_seconds_of(conv, x_BCHW), _seconds_of(WinogradConv2d(conv, PlainConv2d), x_BCHW))


def _gain(layer: nn.Module, x: Tensor) -> float:
    """The layer's time in float32 by its time in bf16."""
    exact = _seconds_of(layer, x)
    try:
        half = _seconds_of(copy.deepcopy(layer).bfloat16(), x.bfloat16())
        half()
    except (RuntimeError, NotImplementedError) as error:
        logger.debug("bf16 cannot be computed on %s: %s", x.device, error)
        return 0.0
    return _in_turns(exact, half)


def _in_turns(plain: Callable[[], Times], other: Callable[[], Times]) -> float:
    """The one's time by the other's, the rounds of both in turns; the first of each does not count.

    By the clock on the wall and by what the process computed, the lesser of the two: the former sees everything else
    that the machine does, the latter no thread that waits for another.
    """
    rounds = [(plain(), other()) for _ in range(1 + ROUNDS)][1:]
    least = [[min(times) for times in zip(*way, strict=True)] for way in zip(*rounds, strict=True)]
    gains_by_clock: list[float] = [one / two for one, two in zip(*least, strict=True)]
    return min(gains_by_clock)


def _seconds_of(layer: nn.Module, x: Tensor) -> Callable[[], Times]:
    # what a GPU is busy with is no time of the process
    clocks = (time.perf_counter, time.process_time) if x.device.type == "cpu" else (time.perf_counter,)

    def seconds() -> Times:
        if x.device.type == "cuda":
            torch.cuda.synchronize(x.device)
        began = [clock() for clock in clocks]
        layer(x)
        if x.device.type == "cuda":
            torch.cuda.synchronize(x.device)
        return tuple(clock() - start for clock, start in zip(clocks, began, strict=True))

    return seconds


@cache
def _name(device: torch.device) -> str:
    """What the device is."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "diffloom" / "gains"


def _read(path: Path, key: str) -> Gains | None:
    """What is there of this very key; None for a file that is not there, not whole or not ours."""
    try:
        found = json.loads(path.read_text())
        if found["key"] != key:
            return None
        return Gains(**{item.name: float(found[item.name]) for item in fields(Gains)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("%s: cannot be read, so bf16 is measured anew: %s", path, error)
        return None


def _first_written(path: Path, key: str, found: Gains) -> Gains:
    """Keep what was found, whole or not at all; of processes that measured at once the first is right for all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(json.dumps({"key": key, **asdict(found)}))
        try:
            if _read(path, key) is None:
                path.unlink(missing_ok=True)  # of no use to anybody
            os.link(file.name, path)
        except FileExistsError:
            return _read(path, key) or found
        finally:
            Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        logger.debug("%s: cannot be written, so every process measures bf16 anew: %s", path, error)
    return found

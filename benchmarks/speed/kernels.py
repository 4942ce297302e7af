"""Where the time of each arm goes: the kernels that take most of it.

python -m benchmarks.speed.kernels sampling_step --device cuda --top 12
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module

import torch
from benchmarks.speed.peers import import_peers
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile


def kernels(call: Callable[[], object], device: torch.device, *, top: int) -> list[tuple[str, float]]:
    """The kernels of a call that take most of its time, and their shares of that of all: those of the device on CUDA,
    torch's operations on a CPU."""
    on_cuda = device.type == "cuda"
    call()  # what is done once is not what is looked for
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]) as seen:
        call()
        if on_cuda:
            torch.cuda.synchronize(device)
    kind = DeviceType.CUDA if on_cuda else DeviceType.CPU
    times = {
        event.key: event.self_device_time_total if on_cuda else event.self_cpu_time_total
        for event in seen.key_averages()
        if event.device_type == kind
    }
    total = sum(times.values())
    longest = sorted(times.items(), key=lambda item: item[1], reverse=True)[:top]
    return [(name, time / total) for name, time in longest if time]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("work", help="a module of benchmarks/speed/works")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--top", type=int, default=15, help="kernels of each arm")
    options = parser.parse_args()
    import_peers()
    device = torch.device(options.device)
    for case in import_module(f"benchmarks.speed.works.{options.work}").cases(device):
        for arm in (case.peer, *case.ours):
            print(f"\n{case.title}: {arm.name}")
            for name, share in kernels(arm.call, device, top=options.top):
                print(f"{share:6.1%}  {name}")


if __name__ == "__main__":
    main()

"""Where the time of each arm goes: the kernels that take most of it.

python -m benchmarks.speed.profile sampling_step --device cuda --top 12
"""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module

import torch
from benchmarks.speed.peers import import_peers
from torch.profiler import ProfilerActivity, profile


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("work", help="a module of benchmarks/speed/works")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--top", type=int, default=15, help="rows of each table")
    options = parser.parse_args()
    import_peers()
    device = torch.device(options.device)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    for case in import_module(f"benchmarks.speed.works.{options.work}").cases(device):
        for arm in (case.peer, *case.ours):
            arm.call()  # what is done once is not what is looked for
            with profile(activities=activities) as seen:
                arm.call()
            print(f"\n{case.title}: {arm.name}")
            order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
            print(seen.key_averages().table(sort_by=order, row_limit=options.top, max_name_column_width=60))


if __name__ == "__main__":
    main()

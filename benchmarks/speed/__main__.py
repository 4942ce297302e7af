"""diffloom and diffusers side by side.

    python -m benchmarks.speed              # every work, about ten minutes on two cores
    python -m benchmarks.speed train        # one
    python -m benchmarks.speed --kernels 5  # and, of each arm, the kernels that take most of its time
    make bench-gpu                          # all that there is, on an NVIDIA GPU

Prints a table and renews benchmarks/RESULTS.md, from the figures in benchmarks/speed/results.json: after each work, so
that who stops it keeps the works that are done.
"""

from __future__ import annotations

import gc
import time
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

from benchmarks.speed.threads import wait_passively
from benchmarks.speed.works import APART, ORDER

HERE = Path(__file__).parent
SCALING = HERE.parent / "scaling" / "RESULTS.md"


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    apart = ", ".join(APART)
    parser.add_argument(
        "work",
        nargs="*",
        choices=[[], *ORDER],
        help=f"what to measure; where nothing is said all, without {apart} on a CPU, which take longer",
    )
    parser.add_argument("--device", help="cpu, cuda, … [default: cuda if there is any]")
    parser.add_argument(
        "--kernels", type=int, default=0, help="how many of each arm's longest kernels to name"
    )
    parser.add_argument("--print-only", action="store_true", help="leave the files as they are")
    options = parser.parse_args()
    wait_passively("benchmarks.speed")

    import torch
    from benchmarks.speed.kernels import kernels
    from benchmarks.speed.machine import description, peaks, told
    from benchmarks.speed.measure import measured
    from benchmarks.speed.peers import import_peers
    from benchmarks.speed.rows import kept, renewed
    from benchmarks.speed.table import COLUMNS, cells, page

    from diffloom.training.replacement import replace_text

    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device: torch finds no NVIDIA GPU here; leave it out to measure on the CPU")
    import_peers()
    machine, most = description(device), peaks(device)
    print(machine, told(most), " | ".join(COLUMNS), sep="\n", flush=True)
    everywhere = [work for work in ORDER if device.type == "cuda" or work not in APART]
    works = {work: import_module(f"benchmarks.speed.works.{work}") for work in options.work or everywhere}
    gc.collect()
    gc.freeze()  # what was imported need not be looked through again before each watch of the memory
    torch.manual_seed(0)  # networks begin with the same weights in every run
    began = time.perf_counter()
    for work, module in works.items():
        rows, started = [], time.perf_counter()
        for case in module.cases(device):
            print(f"{work}: {case.title}", flush=True)
            found = kept(case, work, measured(case, device), most)
            for row, arm in zip(found, (case.peer, *case.ours), strict=True):
                print(" | ".join(cells(row)), flush=True)
                row["kernels"] = kernels(arm.call, device, top=options.kernels) if options.kernels else []
            rows += found
        ended = time.perf_counter()
        print(f"{work}: {ended - started:.0f} s, {ended - began:.0f} s in all", flush=True)
        if options.print_only:
            continue
        everything = renewed(HERE / "results.json", machine, most, work, rows)
        replace_text(HERE.parent / "RESULTS.md", page(everything, SCALING))


if __name__ == "__main__":
    main()

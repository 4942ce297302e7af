"""diffloom and diffusers side by side.

    python -m benchmarks.speed              # every work, about ten minutes on two cores
    python -m benchmarks.speed train        # one

Prints a table and renews benchmarks/RESULTS.md, from the figures in benchmarks/speed/results.json.
"""

from __future__ import annotations

import pkgutil
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

from benchmarks.speed import works
from benchmarks.speed.threads import wait_passively

HERE = Path(__file__).parent
SCALING = HERE.parent / "scaling" / "RESULTS.md"
WORKS = [module.name for module in pkgutil.iter_modules(works.__path__)]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument(
        "work", nargs="*", choices=[[], *WORKS], help="what to measure; all if nothing is said"
    )
    parser.add_argument("--device", help="cpu, cuda, … [default: cuda if there is any]")
    parser.add_argument("--print-only", action="store_true", help="leave the files as they are")
    options = parser.parse_args()
    wait_passively("benchmarks.speed")

    import torch
    from benchmarks.speed.machine import description, peaks
    from benchmarks.speed.measure import measured
    from benchmarks.speed.peers import import_peers
    from benchmarks.speed.table import COLUMNS, cells, kept, page, renewed

    import_peers()
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    machine, most = description(device), peaks(device)
    print(machine, *(f"{name} {speed:.0f} GFLOP/s" for name, speed in most.items()), sep="\n", flush=True)
    print(" | ".join(COLUMNS), flush=True)
    for work in options.work or WORKS:
        rows = []
        for case in import_module(f"benchmarks.speed.works.{work}").cases(device):
            rows += (found := kept(case, work, measured(case, device), most))
            for row in found:
                print(" | ".join(cells(row)), flush=True)
        if options.print_only:
            continue
        everything = renewed(HERE / "results.json", machine, work, rows)
        (HERE.parent / "RESULTS.md").write_text(page(everything, SCALING), encoding="utf-8")


if __name__ == "__main__":
    main()

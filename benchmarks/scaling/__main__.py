"""How time and memory grow, against batch, resolution, steps, samples, training images and installed plugins.

    python -m benchmarks.scaling            # about four minutes
    python -m benchmarks.scaling --print-only

Writes benchmarks/scaling/RESULTS.md and scaling.png.
"""

from __future__ import annotations

from argparse import ArgumentParser
from itertools import chain
from pathlib import Path

from benchmarks.speed.threads import wait_passively

HERE = Path(__file__).parent


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--device", help="cpu, cuda, … [default: cuda if there is any]")
    parser.add_argument("--only", help="what grows, by the first letters of its axis")
    parser.add_argument("--print-only", action="store_true", help="leave the files as they are")
    options = parser.parse_args()
    wait_passively("benchmarks.scaling")

    import torch
    from benchmarks.scaling import sampling, start_up, training
    from benchmarks.scaling.page import page, plot
    from benchmarks.speed.machine import description

    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    found = []
    for growth in chain(start_up.growths(), sampling.growths(device), training.growths(device)):
        if not growth.axis.startswith(options.only or ""):
            continue
        costs = []
        growth.cost(
            growth.sizes[0]
        )  # whatever is imported, compiled or cached the first time is no part of a law
        for size in growth.sizes:
            costs.append((size, cost := growth.cost(size)))
            print(f"{growth.axis} {size}: {cost.seconds:.3g} s, {cost.mib} MiB", flush=True)
        found.append((growth, costs))
    text = page(description(device), found)
    if options.print_only:
        print(text)
        return
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    plot(found, HERE / "scaling.png")


if __name__ == "__main__":
    main()

"""A run killed a hundred times against one that never was.

    python -m benchmarks.soak FOLDER --kills 100

`diffloom train soak.yaml --requeue` is started, killed with SIGKILL and started again, as a scheduler would do it.
After each kill every checkpoint is read and verified, and nothing that stood before may be gone. At the end rows,
pictures and the last checkpoint's tensors have to be those of the undisturbed run, bit for bit. Prints a table.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path

from benchmarks.soak.kill import kill_once
from benchmarks.soak.proof import require_same, require_sound

from diffloom.training.run_folder import RunFolder, step_of

CONFIG = Path(__file__).with_name("soak.yaml")


def command(folder: Path) -> list[str]:
    """What a scheduler repeats."""
    words = ["train", str(CONFIG), "--requeue", "-o", str(folder), "--device", "cpu"]
    return [sys.executable, "-m", "diffloom", *words]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder for both runs")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    whole, killed = RunFolder(options.folder / "whole"), RunFolder(options.folder / "killed")

    began = time.monotonic()
    subprocess.run(command(whole.path), check=True, stderr=subprocess.DEVNULL)
    undisturbed_seconds = time.monotonic() - began
    steps = step_of(whole.saved()[-1])

    moments = random.Random(options.seed)
    began, sorts, lost, reached = time.monotonic(), [], [], 0
    for left in range(options.kills, 0, -1):
        goal = reached + moments.randint(0, 2 * (steps - reached) // (left + 1))
        sorts.append(kill_once(command(killed.path), killed, goal=goal, moments=moments))
        found = require_sound(killed, at_least=reached)
        lost.append(found.lost)
        reached = found.saved
        print(
            f"{len(sorts):4} {sorts[-1]:14} saved {found.saved:5}, {found.lost:2} steps to repeat", flush=True
        )
    subprocess.run(command(killed.path), check=True, stderr=subprocess.DEVNULL)
    killed_seconds = time.monotonic() - began
    require_same(whole, killed)

    print(f"\n| kills | {len(sorts)} |\n|---|---|")
    for sort in sorted(set(sorts)):
        print(f"| of these {sort} | {sorts.count(sort)} |")
    print(f"| steps of the run | {steps} |")
    print(f"| steps repeated after a kill, mean and most | {sum(lost) / len(lost):.1f}, {max(lost)} |")
    print(f"| seconds, undisturbed and with the kills | {undisturbed_seconds:.0f}, {killed_seconds:.0f} |")
    print(
        "| checkpoints damaged | 0 |\n| rows missing or repeated | 0 |\n| last tensors, rows, pictures | equal |"
    )


if __name__ == "__main__":
    main()

"""The same demo in latents: train an autoencoder of the digits, measure its latents, train a model of these, judge.

Run by `make demo-latent`; alone: `python docs/demo/digits_latent.py [FOLDER]`. The folder gets the runs
`runs/autoencoder_digits` and `runs/digits_latent`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; digits.py says why

from digits import CONFIG, ROOT, draw_and_judge, free_folder

import diffloom

CONFIGS = CONFIG.parent


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else free_folder(ROOT / "runs" / "latent")
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    run("train", CONFIGS / "autoencoder_digits.yaml", "-o", "runs/autoencoder_digits", folder=folder)
    run("calibrate", CONFIGS / "digits_latent.yaml", "-o", "digits_latent.yaml", folder=folder)
    run("train", "digits_latent.yaml", "-o", "runs/digits_latent", folder=folder)
    trained = time.monotonic()
    model = folder / "runs" / "digits_latent"
    figures = draw_and_judge(diffloom.load(model), model)
    drawn = time.monotonic()
    (model / "figures.json").write_text(json.dumps(asdict(figures), indent=2) + "\n")
    print(
        f"\nTrained both in {trained - began:.0f} s; drew and judged 500 digits in {drawn - trained:.0f} s.\n"
    )
    print("\n".join(figures.lines()))
    print(f"\nLook at  {model}/grid.png")


def run(*words: object, folder: Path) -> None:
    """One command of diffloom's, in the folder."""
    command = [sys.executable, "-m", "diffloom", *map(str, words)]
    subprocess.run(command, check=True, cwd=folder)


if __name__ == "__main__":
    main()

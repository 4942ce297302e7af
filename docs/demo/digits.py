"""The demo: train `configs/digits.yaml`, draw digits on request, and let judges say how good they are.

Run by `make demo`; alone: `python docs/demo/digits.py [RUN_FOLDER]`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # set before torch is imported; inherited by the training process
# On 8×8 pictures a second thread gains a third on an idle machine, and loses tenfold beside any other busy process.

import numpy as np
from curve import loss_curve
from judge import Figures, judge

import diffloom
from diffloom import Pipeline
from diffloom.kinds import Data, Examples
from diffloom.pictures import film_strip, save_png
from diffloom.process import keyed_generator

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "digits.yaml"
PER_CLASS = 50


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else free_folder(ROOT / "runs" / "digits")
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "diffloom", "train", str(CONFIG), "-o", str(folder)], check=True)
    trained = time.monotonic()
    pipe = diffloom.load(folder)
    figures = draw_and_judge(pipe, folder)
    drawn = time.monotonic()
    loss_curve(folder / "metrics.jsonl", folder / "loss.png")
    (folder / "figures.json").write_text(json.dumps(asdict(figures), indent=2) + "\n")
    print(summary(folder, figures, train_seconds=trained - began, sample_seconds=drawn - trained))


def draw_and_judge(pipe: Pipeline, folder: Path) -> Figures:
    """Draw the grid, the film strip and 500 digits, and judge these."""
    asked = [label for label in range(10) for _ in range(PER_CLASS)]
    out = pipe.sample(label=asked, seed=1, batch_size=250)
    first_of_each = [index for index in range(len(asked)) if index % PER_CLASS < 10]
    grid = pipe.sample(label=[asked[i] for i in first_of_each], seed=[(1, i) for i in first_of_each])
    save_png(grid.grid(columns=10), folder / "grid.png", recipe=grid.recipe)
    film = pipe.stream(label=3, seed=1, steps=50)
    save_png(film_strip(film, decode=pipe.decode), folder / "film.png")
    train_images, train_labels = split(pipe, "train")
    heldout_images, heldout_labels = split(pipe, "heldout")
    return judge(
        samples_NHW=out.tensor[:, 0].numpy(),
        asked_N=np.array(asked),
        train_NHW=train_images,
        train_labels_N=train_labels,
        heldout_NHW=heldout_images,
        heldout_labels_N=heldout_labels,
    )


def split(pipe: Pipeline, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The real images (N, H, W) and labels of one split of the model's own data."""
    data = pipe.document.data
    assert isinstance(data, Data)
    examples: Examples = data.model_copy(update={"split": name}).build(image=pipe.document.image.info)
    rng = keyed_generator(0, 0, 0, "demo")  # the digits are not augmented: nothing is drawn from it
    rows = [examples.example(index, rng) for index in range(len(examples))]
    return np.stack([row.image_CHW[0] for row in rows]), np.array([row.conditions["label"] for row in rows])


def free_folder(wanted: Path) -> Path:
    """The folder itself, or the first of folder-2, folder-3, … that does not exist yet."""
    candidates = (wanted if k == 1 else wanted.with_name(f"{wanted.name}-{k}") for k in range(1, 10_000))
    return next(folder for folder in candidates if not folder.exists())


def summary(folder: Path, figures: Figures, *, train_seconds: float, sample_seconds: float) -> str:
    """What the person who ran the demo reads last."""
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return "\n".join(
        [
            "",
            f"Trained in {train_seconds:.0f} s; drew and judged {10 * PER_CLASS} digits in {sample_seconds:.0f} s.",
            "",
            *figures.lines(),
            "",
            f"Look at  {shown}/grid.png      ten of each digit",
            f"         {shown}/film.png      one digit appearing: x_t above, the predicted x₀ below",
            f"         {shown}/loss.png      the loss curve",
            f"         {shown}/samples/      the same seeds as training went on",
            "",
            "Try next",
            f"  diffloom sample {shown} --label 7 -n 16 --guidance 2 --seed 0 -o sevens.png",
            f"  diffloom sample {shown} --label 3 --sampler ddpm --steps 200 --film film.png",
            "  diffloom train configs/digits.yaml -o runs/mine backbone.channels=[32,64,64]",
            "  diffloom config show configs/digits.yaml --origin",
            "  (`diffloom` is .venv/bin/diffloom: `source .venv/bin/activate` first)",
        ]
    )


if __name__ == "__main__":
    main()

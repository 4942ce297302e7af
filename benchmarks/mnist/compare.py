"""Our training beside diffusers' own recipe: the same network, first weights, examples in the same order, optimiser and
rates; other noise and times, as each draws its own.

    python benchmarks/mnist/compare.py PATH/TO/mnist.npz [--seeds 0,1,2] [-o FOLDER] [KEY=VALUE ...]

Writes RESULTS.md and loss.png beside this file. A seed that is finished in FOLDER is not trained again.
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
import torch
from judge import BITS, Figures, judge
from numpy.typing import NDArray
from peer import Learned, UNet2DModel, train_peer
from results import Outcome, write_results

import diffloom
from diffloom import Pipeline, config
from diffloom.bridge.export.exporting import export
from diffloom.checkpoint import save_checkpoint
from diffloom.checkpoint.groups import split
from diffloom.config.document import Document, Train
from diffloom.plugins import Plugins, load_plugins
from diffloom.training import train
from diffloom.training.order import Order

HERE = Path(__file__).resolve().parent
PLUGIN = str(HERE / "mnist_arrays.py")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the file of arrays: train_x, train_y, test_x, test_y")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/mnist_benchmark"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    plugins = load_plugins((PLUGIN,))
    with np.load(options.data, allow_pickle=False) as file:
        arrays = dict(file)
    outcomes = [outcome(int(seed), options, arrays, plugins) for seed in options.seeds.split(",")]
    write_results(HERE, outcomes, bits=BITS)


def outcome(seed: int, options: Namespace, arrays: dict[str, NDArray[np.uint8]], plugins: Plugins) -> Outcome:
    """Both runs of one seed, judged; from the folder where it was done before."""
    folder = options.output / f"seed{seed}"
    file = folder / "outcome.json"
    if not file.exists():
        given = [f"data.path={options.data}", f"train.seed={seed}", *options.overrides]
        resolved = config.load(HERE / "mnist.yaml", given, registry=plugins.registry)
        assert isinstance(resolved.document, Document)
        assert resolved.document.train is not None
        ours_run = folder / "ours"
        if not (ours_run / "config.resolved.yaml").exists() or not list(ours_run.glob("checkpoints/*")):
            train(resolved, ours_run, plugins=plugins, device="cpu")
        rows = [json.loads(line) for line in (ours_run / "metrics.jsonl").read_text().splitlines()]
        ours = diffloom.load(ours_run, device="cpu", plugins=[PLUGIN])
        learned = peer(resolved.document, resolved.document.train, folder, arrays, plugins)
        theirs = diffloom.load(ours_run, device="cpu", plugins=[PLUGIN])
        learned.averaged.save_pretrained(folder / "theirs")
        network = diffloom.load_component(folder / "theirs", "backbone", device="cpu")
        theirs.backbone.load_state_dict(network.state_dict())
        found = Outcome(
            seed=seed,
            steps=[row["step"] for row in rows],
            our_losses=[row["loss"] for row in rows],
            their_losses=learned.losses,
            ours=_judged(ours, arrays),
            theirs=_judged(theirs, arrays),
        )
        file.write_text(json.dumps(asdict(found)))
    stored = json.loads(file.read_text())
    return Outcome(**{**stored, "ours": Figures(**stored["ours"]), "theirs": Figures(**stored["theirs"])})


def peer(
    document: Document, train: Train, folder: Path, arrays: dict[str, NDArray[np.uint8]], plugins: Plugins
) -> Learned:
    """The peer's run, from the weights that ours began with."""
    optimizer, ema = train.optimizer.model_dump(), train.ema.model_dump()
    order = Order(seed=train.seed, examples=len(arrays["train_x"]))
    return train_peer(
        first_network(document, folder, seed=train.seed, plugins=plugins),
        arrays["train_x"],
        arrays["train_y"],
        [order.index(position) for position in range(train.steps * train.batch_size)],
        train,
        betas=optimizer["betas"],
        decay=ema["decay"],
        dropout=document.conditioners["label"].dropout,
    )


def first_network(document: Document, folder: Path, *, seed: int, plugins: Plugins) -> UNet2DModel:
    """The weights that our run of this seed begins with, in the peer's network."""
    text = config.to_yaml(document, plugins.registry)
    path = folder / "first.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    pipeline: Pipeline = diffloom.build(path, seed=seed, device="cpu", plugins=[PLUGIN])
    frozen, weights = split(pipeline.module, frozen={"space"})
    first = folder / "first.safetensors"
    save_checkpoint(first, {"frozen": frozen, "weights": weights, "ema": weights}, step=0, config=text)
    if not (folder / "first").exists():
        export(first, folder / "first", to="diffusers", registry=plugins.registry, part="backbone")
    network = UNet2DModel.from_pretrained(folder / "first")
    assert isinstance(network, UNet2DModel)
    return network


def _judged(pipeline: Pipeline, arrays: dict[str, NDArray[np.uint8]]) -> Figures:
    return judge(pipeline, arrays["test_x"], arrays["test_y"])


if __name__ == "__main__":
    main()

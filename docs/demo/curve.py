"""The loss curve of a run, from its metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path


def loss_curve(metrics: Path, picture: Path) -> None:
    """Draw loss against optimiser steps, both logarithmic where that helps the eye."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="#2a6f97")
    axes.set(xlabel="optimiser step", ylabel="loss (mean squared error)", yscale="log", title="Training loss")
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)

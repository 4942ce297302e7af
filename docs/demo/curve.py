"""The loss curve of a run, from its metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path


def loss_curve(metrics: Path, picture: Path) -> None:
    """Draw the loss, on a logarithmic axis, against optimiser steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import StrMethodFormatter

    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="#2a6f97")
    axes.set(xlabel="optimiser step", ylabel="loss (mean squared error)", yscale="log", title="Training loss")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)

"""What the comparison found, as a table and a picture."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from judge import Figures


@dataclass(frozen=True)
class Outcome:
    """Two runs of one seed."""

    seed: int
    steps: list[int]
    """After which each loss was logged."""
    our_losses: list[float]
    their_losses: list[float]
    ours: Figures
    theirs: Figures


def write_results(folder: Path, outcomes: Sequence[Outcome], *, bits: int) -> None:
    """RESULTS.md and loss.png."""
    draw(folder / "loss.png", outcomes)
    lines = [
        "# MNIST, trained by diffloom and by diffusers' recipe",
        "",
        f"`mnist.yaml` against `peer.py`: {outcomes[0].steps[-1]:,} steps of the same network (diffusers'",
        "`UNet2DModel`, its weights brought over by our bridge), with the same first weights, examples, AdamW,",
        "cosine rate and average. Each draws its own noise, times and dropped labels. Judged on held-out digits with",
        "the averaged weights: L_simple on all",
        f"10,000, bits per dimension (the whole bound) on the first {bits}, the same times and noise for both.",
        f"Machine: {platform.machine()}, one core, torch {torch.__version__}.",
        "",
        "| seed | L_simple ours | theirs | bits/dim ours | theirs |",
        "|---|---|---|---|---|",
    ]
    for found in outcomes:
        ours, theirs = found.ours, found.theirs
        lines.append(
            f"| {found.seed} | {ours.l_simple:.5f} | {theirs.l_simple:.5f} | {ours.bits:.3f} | {theirs.bits:.3f} |"
        )
    for name, pick in (("L_simple", lambda f: f.l_simple), ("bits/dim", lambda f: f.bits)):
        ours = np.array([pick(found.ours) for found in outcomes])
        theirs = np.array([pick(found.theirs) for found in outcomes])
        spread = (ours - theirs).std(ddof=1) if len(outcomes) > 1 else float("nan")
        lines += [
            "",
            f"{name}: ours {ours.mean():.5f}, theirs {theirs.mean():.5f}, ours − theirs "
            f"{(ours - theirs).mean():+.5f} ± {spread / len(outcomes) ** 0.5:.5f} "
            "(mean over seeds and its standard error).",
        ]
    lines += ["", "![The losses of all runs](loss.png)", ""]
    (folder / "RESULTS.md").write_text("\n".join(lines))


def draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    """The losses over each other, ours in blue, theirs in orange."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, found in enumerate(outcomes):
        for losses, colour, name in (
            (found.our_losses, "tab:blue", "diffloom"),
            (found.their_losses, "tab:orange", "diffusers' recipe"),
        ):
            label = name if number == 0 else None
            axes.plot(found.steps, losses, color=colour, alpha=0.7, linewidth=1, label=label)
    axes.set(xlabel="optimiser step", ylabel="training loss (L_simple)", yscale="log")
    axes.set_title(f"MNIST, {len(outcomes)} seeds each")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=120)

"""Several schedules in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diffloom.inspection.curves import Curves
from diffloom.inspection.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":")
"""Curves that lie on each other are told apart by these, and by the first being the widest."""
WIDE = 20.0
"""How many times the least the largest sigma may be before its axis is logarithmic."""


def schedule_figure(schedules: Sequence[Curves]) -> Figure:
    """alpha, sigma, log-SNR, β and the weights of the steps, all over the share of the way to the noisiest time."""
    figure = new_figure(width_inches=13, height_inches=7.5)
    panels = figure.subplots(2, 3)
    ((alpha, sigma, log_snr), (beta, weights, legend)) = panels
    for panel, title, label in (
        (alpha, "Signal", "α(t)"),
        (sigma, "Noise", "σ(t)"),
        (log_snr, "Signal to noise", "log-SNR = log(α²/σ²)  [nats]"),
        (beta, "Variance added by a step", "β = σ²·(1 − SNR(t)/SNR(s))"),
        (weights, "Weight of a step's squared error in ε", "weight"),
    ):
        panel.set_title(title)
        panel.set_ylabel(label)
        panel.set_xlabel("time, from cleanest (0) to noisiest (1)")
        panel.grid(visible=True, alpha=0.3)
    for index, curves in enumerate(schedules):
        colour = f"C{index % 10}"
        look: dict[str, Any] = {
            "linestyle": STYLES[index % len(STYLES)],
            "color": colour,
            "linewidth": max(1.2, 3 - 0.6 * index),
        }
        alpha.plot(curves.share, curves.alpha, **look)
        sigma.plot(curves.share, curves.sigma, **look)
        log_snr.plot(curves.share, curves.log_snr, **look)
        beta.plot(curves.share, curves.beta, **look)
        weights.plot(curves.share, curves.bound_weight, **look)
        if curves.loss_weight is not None:
            weights.plot(curves.share, curves.loss_weight, linewidth=3, alpha=0.35, color=colour)
        legend.plot([], [], **look, label=_label(curves))
    if max(float(curves.sigma.max()) for curves in schedules) > WIDE:
        sigma.set_yscale("log")
    beta.set_yscale("log")
    weights.set_yscale("log")
    weights.axhline(1.0, color="grey", linewidth=0.8)
    _legend(legend, schedules)
    figure.suptitle("Noise schedules:  x(t) = α(t)·x₀ + σ(t)·ε")
    return figure


def _label(curves: Curves) -> str:
    times = f"t from {curves.t[0].item():.4g} to {curves.t[-1].item():.4g}"
    cut = f", cut into {len(curves.t)} steps" if curves.continuous else f", {len(curves.t)} times"
    return f"{curves.name}\n({times}{cut})"


def _legend(panel: Axes, schedules: Sequence[Curves]) -> None:
    panel.axis("off")
    panel.plot([], [], color="grey", linewidth=0.8, label="weight 1: the simple loss of ε")
    if any(curves.loss_weight is not None for curves in schedules):
        panel.plot([], [], color="black", linewidth=3, alpha=0.35, label="weight in the file's own loss")
    panel.plot([], [], color="black", label="weight in the variational bound [nats]")
    panel.legend(loc="center left", frameon=False, fontsize=9, handlelength=3)

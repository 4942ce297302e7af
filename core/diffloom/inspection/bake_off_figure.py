"""A bake-off as a picture: how far from the reference against network calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diffloom.inspection.bake_off import BakeOff, Standing
from diffloom.inspection.plots import new_figure
from diffloom.inspection.verdict import ENOUGH, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^v<>ph*XP"
LEAST_SHOWN = 1e-4
"""Energy coefficients below this, or below 0 by chance, stand at the panel's foot."""


def bake_off_figure(found: BakeOff, verdict: Verdict, *, title: str) -> Figure:
    """One panel for the deterministic samplers, one for the stochastic ones, both log-log."""
    panels = [(_paths, found.deterministic), (_distributions, found.stochastic)]
    drawn = [(draw, standings) for draw, standings in panels if standings]
    figure = new_figure(width_inches=8.5 * len(drawn), height_inches=6.5)
    figure.suptitle(title)
    for axes, (draw, standings) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        draw(axes, standings, found, verdict)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("network calls for one batch of samples")
        calls = sorted({result.calls for standing in standings for result in standing.results})
        axes.set_xticks(_apart(calls), [f"{count:.0f}" for count in _apart(calls)])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure


def _paths(axes: Axes, standings: Sequence[Standing], found: BakeOff, verdict: Verdict) -> None:
    reference = found.reference
    axes.set_title("Deterministic samplers: along the reference's own path")
    axes.set_ylabel("relative error, RMS of (sample − reference) / RMS of reference")
    for index, standing in enumerate(standings):
        calls = [result.calls for result in standing.results]
        axes.plot(
            calls,
            [result.error or math.nan for result in standing.results],
            **_look(index, standing, verdict),
        )
    axes.axhline(ENOUGH, color="black", linewidth=0.8, linestyle=":", label=f"{ENOUGH:.0%}: enough")
    if reference.uncertainty > 0:
        axes.axhline(
            reference.uncertainty,
            color="grey",
            linewidth=0.8,
            label=f"what the reference is sure to\n({reference.run.sampler.name}, {reference.run.calls:.0f} calls)",
        )


def _distributions(axes: Axes, standings: Sequence[Standing], found: BakeOff, verdict: Verdict) -> None:
    axes.set_title("Stochastic samplers: distribution of the samples")
    axes.set_ylabel("energy coefficient to the reference's samples (0 same, 1 apart), ± 1 standard error")
    for index, standing in enumerate(standings):
        axes.errorbar(
            [result.calls for result in standing.results],
            [max(result.energy.coefficient, LEAST_SHOWN) for result in standing.results],
            yerr=[result.energy.standard_error for result in standing.results],
            capsize=2,
            **_look(index, standing, verdict),
        )


def _look(index: int, standing: Standing, verdict: Verdict) -> dict[str, Any]:
    chosen = standing is verdict.standing
    return {
        "color": f"C{index % 10}",
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": ("-", "--", ":")[index // 10 % 3],
        "linewidth": 3.0 if chosen else 1.3,
        "label": f"{standing.name}  (recommended)" if chosen else standing.name,
    }


def _apart(calls: Sequence[float]) -> list[float]:
    """Those that are far enough from each other to be written under a logarithmic axis."""
    kept: list[float] = []
    for count in calls:
        if not kept or count >= 1.25 * kept[-1]:
            kept.append(count)
    return kept

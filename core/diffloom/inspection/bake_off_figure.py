"""A bake-off as a picture: how far from the reference against network calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diffloom.inspection.bake_off import BakeOff, Standing
from diffloom.inspection.plots import new_figure
from diffloom.inspection.verdict import ENOUGH, Verdict, best_first

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^v<>ph*XP"


def bake_off_figure(found: BakeOff, verdict: Verdict, *, title: str) -> Figure:
    """A log-log panel for the deterministic samplers, best first, and one for the stochastic ones."""
    panels = [(_paths, best_first(found.deterministic)), (_distributions, found.stochastic)]
    drawn = [(draw, standings) for draw, standings in panels if standings]
    figure = new_figure(width_inches=8 * len(drawn), height_inches=6)
    figure.suptitle(title)
    for axes, (draw, standings) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        draw(axes, standings, found, verdict)
        _calls_axis(axes)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure


def _paths(axes: Axes, standings: Sequence[Standing], found: BakeOff, verdict: Verdict) -> None:
    reference = found.reference
    axes.set_title("Deterministic samplers: along the reference's path")
    axes.set_ylabel("relative error: RMS(sample − reference) / RMS(reference)")
    axes.set_yscale("log")
    for index, standing in enumerate(standings):
        calls = [result.calls for result in standing.results]
        errors = [result.error or math.nan for result in standing.results]
        axes.plot(calls, errors, **_look(index, standing, verdict))
    axes.axhline(ENOUGH, color="black", linewidth=0.8, linestyle=":", label=f"{ENOUGH:.0%}: enough")
    if reference.uncertainty > 0:
        run = reference.run
        label = f"how sure the reference is\n({run.sampler.name}, {run.calls:.0f} calls)"
        axes.axhline(reference.uncertainty, color="grey", linewidth=0.8, label=label)


def _distributions(axes: Axes, standings: Sequence[Standing], found: BakeOff, verdict: Verdict) -> None:
    count = len(found.reference.run.samples_BD)
    axes.set_title(f"Stochastic samplers: distribution of {count} samples")
    axes.set_ylabel("energy coefficient to the reference's samples, ± 1 standard error")
    axes.axhline(0.0, color="grey", linewidth=0.8, label="0: the same distribution")
    for index, standing in enumerate(standings):
        axes.errorbar(
            [result.calls for result in standing.results],
            [result.energy.coefficient for result in standing.results],
            yerr=[result.energy.standard_error for result in standing.results],
            capsize=2,
            elinewidth=0.8,
            **_look(index, standing, verdict),
        )


def _calls_axis(axes: Axes) -> None:
    """A logarithmic axis of calls, its ticks in whole numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_xscale("log")
    axes.set_xlabel("network calls for one batch of samples")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _look(index: int, standing: Standing, verdict: Verdict) -> dict[str, Any]:
    chosen = standing is verdict.standing
    return {
        "color": f"C{index % 10}",
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": ("-", "--", ":")[index // 10 % 3],
        "linewidth": 3.0 if chosen else 1.3,
        "label": f"{standing.name}  (recommended)" if chosen else standing.name,
    }

"""Costs as a page and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from benchmarks.scaling.growth import Cost, Growth, Law
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from diffloom.inspection.plots import new_figure, save_figure

HEAD = """## How cost grows

`python -m benchmarks.scaling` writes this section and its plot. One thing grows, the others stay. Time is the CPU's,
all threads together; memory is the most beyond what there was before, weights left out, and for plugins that of the
whole process. An exponent is the slope of the logarithms: 1 is in proportion, 2 the square. That between the two
largest sizes is told beside that over all, since a fixed part bends the beginning; where it is most of the time, the
law is a line, and both of its parts are told.

Measured on {machine}.

![Time and memory against what grows](scaling.png)
"""
LINE = 58
"""Characters under a panel."""
Costs = Sequence[tuple[int, Cost]]


def page(machine: str, found: Sequence[tuple[Growth, Costs]]) -> str:
    """The section in Markdown."""
    return HEAD.format(machine=machine) + "".join(_part(growth, costs) for growth, costs in found)


def _part(growth: Growth, costs: Costs) -> str:
    sizes = [size for size, _ in costs]
    rows = "".join(
        f"| {size} | {cost.seconds:.3g} | {'' if cost.mib is None else f'{cost.mib:.0f}'} |\n"
        for size, cost in costs
    )
    memory = _memory(costs)
    told = f"Memory {Law.of(sizes, memory)}." if memory else ""
    return (
        f"\n### {growth.axis.capitalize()}\n\n{growth.work[0].upper()}{growth.work[1:]}. "
        f"Time {Law.of(sizes, [cost.seconds for _, cost in costs]).of_seconds()}. {told} Why: {growth.reason}.\n\n"
        f"| {growth.axis} | CPU s | memory MiB |\n|---|---|---|\n{rows}"
    )


def _memory(costs: Costs) -> list[float]:
    """The peaks; none where the system says none. Half a MiB is the least that a page count resolves."""
    return [max(0.5, cost.mib) for _, cost in costs if cost.mib is not None]


def plot(found: Sequence[tuple[Growth, Costs]], path: Path) -> None:
    """A panel for each thing that grows, with law and reason. Both scales are logarithmic: time on the left, memory on
    the right, each with room above and below, so that what hardly grows looks so.
    """
    columns = -(-len(found) // 2)
    figure = new_figure(width_inches=4.5 * columns, height_inches=9)
    figure.suptitle("How cost grows: CPU time (blue, solid) and memory beyond the weights (orange, dashed)")
    for index, (growth, costs) in enumerate(found):
        left = figure.add_subplot(2, columns, index + 1)
        sizes = [size for size, _ in costs]
        seconds = [cost.seconds for _, cost in costs]
        left.loglog(sizes, seconds, "o-", color="tab:blue")
        left.set_ylim(min(seconds) / 3, 3 * max(seconds))
        left.set_xlabel(f"{growth.axis}\n\n{fill(growth.reason, LINE)}", fontsize=9)
        left.set_ylabel("CPU time, s", color="tab:blue")
        laws = [f"time {Law.of(sizes, seconds).in_short()}"]
        axes = [left]
        if memory := _memory(costs):
            axes.append(right := left.twinx())
            right.loglog(sizes, memory, "s--", color="tab:orange")
            right.set_ylim(min(memory) / 3, 3 * max(memory))
            right.set_ylabel("memory, MiB", color="tab:orange")
            laws.append(f"memory {Law.of(sizes, memory).in_short()}")
        left.set_title(f"{growth.axis.capitalize()}\n{', '.join(laws)}", fontsize=10)
        for axis in axes:  # the second brings ticks of its own
            axis.xaxis.set_major_locator(FixedLocator(sizes))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.yaxis.set_minor_locator(NullLocator())
    save_figure(figure, path)

"""`diffloom schedule`: draw noise schedules, or print them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from diffloom.inspection.curves import Curves

COLUMNS = ("time", "alpha", "sigma", "log-SNR", "beta")


@click.group()
def schedule() -> None:
    """Draw noise schedules, or print them."""


@schedule.command()
@click.argument("schedules", nargs=-1, required=True, metavar="SCHEDULE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="schedule.png",
    show_default=True,
    help="The PNG.",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Height and width of what is diffused, for schedules that depend on it; a model knows its own.",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def plot(schedules: tuple[str, ...], *, output: Path, size: int | None, plugins: tuple[str, ...]) -> None:
    """Draw alpha, sigma, log-SNR, beta and the weights of the steps of each SCHEDULE into one figure.

    SCHEDULE is a name (cosine), a mapping ('{type: cosine, steps: 100}'), or a model: a YAML file, diffloom:digits,
    a checkpoint or a run folder, whose own loss is drawn too.
    """
    if output.suffix.lower() != ".png":
        raise click.UsageError(f"-o {output}: give a .png file")

    from diffloom.inspection.plots import require_plots, save_figure

    require_plots()

    from diffloom.inspection.schedule_figure import schedule_figure
    from diffloom.inspection.schedule_source import curves_from
    from diffloom.plugins import load_registry

    registry = load_registry(plugins)
    curves = [curves_from(text, registry=registry, size=size, plugins=plugins) for text in schedules]
    save_figure(schedule_figure(curves), output)
    click.echo(str(output))


@schedule.command()
@click.argument("schedule", metavar="SCHEDULE")
@click.option(
    "--rows", type=click.IntRange(min=2), default=11, show_default=True, help="How many of its times."
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Height and width of what is diffused, for schedules that depend on it; a model knows its own.",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def show(schedule: str, *, rows: int, size: int | None, plugins: tuple[str, ...]) -> None:
    """Print alpha, sigma, log-SNR and beta of SCHEDULE at some of its times, evenly chosen. SCHEDULE is as in plot."""
    from diffloom.inspection.schedule_source import curves_from
    from diffloom.plugins import load_registry

    curves = curves_from(schedule, registry=load_registry(plugins), size=size, plugins=plugins)
    for line in _table(curves, rows):
        click.echo(line)


def _table(curves: Curves, rows: int) -> Iterator[str]:
    yield "".join(f"{title:>15}" for title in COLUMNS)
    last = len(curves.t) - 1
    chosen = dict.fromkeys(round(last * row / (rows - 1)) for row in range(rows))
    for index in chosen:
        values = (curves.t, curves.alpha, curves.sigma, curves.log_snr, curves.beta)
        yield "".join(f"{column[index].item():>15.8g}" for column in values)

"""`diffloom report`: a run, or several beside each other, as one page of HTML."""

from __future__ import annotations

from pathlib import Path

import click

NAME = "report.html"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help=f"The page. [default: {NAME} in the run folder; of several runs, here]",
)
def report(runs: tuple[Path, ...], *, output: Path | None) -> None:
    """Write what is known of RUN as one page: its curves, samples, findings, configuration and how to repeat it.

    The page loads nothing: it can be mailed and read offline. A run need not be finished. Several runs are shown beside
    each other, their curves in the same charts.
    """
    from diffloom.report.page import report as written
    from diffloom.training.replacement import replace_text

    path = output or (runs[0] / NAME if len(runs) == 1 else Path(NAME))
    replace_text(path, written(runs))
    click.echo(str(path))

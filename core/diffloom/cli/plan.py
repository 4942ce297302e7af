"""`diffloom plan`: what a configuration will take, before it is trained."""

from __future__ import annotations

import json
import shutil

import click

WIDEST = 110
"""Characters in a line, at most."""


@click.command()
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many samples to draw at once.",
)
@click.option("--device", help="Where it will run: cpu, cuda, … [default: cuda if there is any]")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON, sizes in bytes.")
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def plan(
    file: str,
    overrides: tuple[str, ...],
    *,
    count: int,
    device: str | None,
    as_json: bool,
    plugins: tuple[str, ...],
) -> None:
    """Say what FILE will take: weights, steps, memory for training and sampling, work, disk, shapes.

    Nothing is trained and no weights are made: a step is rehearsed on shapes alone, so that the largest model can be
    planned on the smallest machine. KEY=VALUE changes a value first.
    """
    from diffloom import config
    from diffloom.inspection.page import laid_out
    from diffloom.plugins import load_registry

    registry = load_registry(plugins)
    document = config.load(file, overrides, registry=registry).document

    from diffloom.planning import plan as planned  # torch comes last: mistakes show at once
    from diffloom.planning.page import figures, page

    found = planned(document, count=count, registry=registry, device=device)
    if as_json:
        click.echo(json.dumps(figures(found), indent=1))
        return
    lines = laid_out(
        page(found),
        width=min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns),
        title_style=lambda text: click.style(text, bold=True),
        label_style=lambda text: click.style(text, fg="cyan"),
    )
    for line in lines:
        click.echo(line)

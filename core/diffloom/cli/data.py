"""`diffloom data`: look at data before a model is trained on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

WIDEST = 110
"""Characters in a line, at most."""


@click.group()
def data() -> None:
    """Look at data before a model is trained on them."""


@data.command()
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="data.png",
    show_default=True,
    help="The sheet of pictures.",
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=48,
    show_default=True,
    help="How many examples to read and show.",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def inspect(
    file: str, overrides: tuple[str, ...], *, output: Path, count: int, plugins: tuple[str, ...]
) -> None:
    """Say what the data of FILE are and what the model sees of them, and draw some as it sees them.

    Told are numbers, sizes, what is cropped away or enlarged, labels and captions with their counts, buckets, what
    conditioners do not take, and what is left out. The examples that are read are spread over the data; of a stream
    they are the first. KEY=VALUE changes a value of FILE first.
    """
    if output.suffix.lower() != ".png":
        raise click.UsageError(f"-o {output}: give a .png file")

    from diffloom import config
    from diffloom.plugins import load_registry

    document = config.load(file, overrides, registry=load_registry(plugins)).document

    from diffloom.data_inspection.page import inspected
    from diffloom.data_inspection.sheet import contact_sheet
    from diffloom.inspection.page import laid_out
    from diffloom.pictures import save_png

    found = inspected(document, count=count)
    lines = laid_out(
        found.sections,
        width=min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns),
        title_style=lambda text: click.style(text, bold=True),
        label_style=lambda text: click.style(text, fg="cyan"),
    )
    for line in lines:
        click.echo(line)
    if found.glance.seen:
        save_png(contact_sheet(found.glance.seen, found.info), output)
        click.echo(f"\n{output}")

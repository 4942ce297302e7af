"""`diffloom explain`: what a model is, in a page."""

from __future__ import annotations

import shutil

import click

WIDEST = 110
"""Characters in a line, at most."""


@click.command()
@click.argument("file_or_run")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def explain(file_or_run: str, overrides: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    """Say in a page what a model is: its equations with their constants, its network calls, what is learned.

    FILE_OR_RUN is a YAML file, a shipped configuration such as diffloom:digits, a checkpoint or a run folder; nothing
    of its weights is read. KEY=VALUE changes a value first.
    """
    from diffloom.config import AutoencoderDocument
    from diffloom.inspection.source import described
    from diffloom.plugins import load_registry

    registry = load_registry(plugins)
    document = described(file_or_run, overrides, registry=registry).document

    from diffloom.inspection.autoencoder_page import autoencoder_page
    from diffloom.inspection.diffusion_page import diffusion_page
    from diffloom.inspection.page import laid_out

    if isinstance(document, AutoencoderDocument):
        sections = autoencoder_page(document)
    else:
        sections = diffusion_page(document, registry=registry)
    lines = laid_out(
        sections,
        width=min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns),
        title_style=lambda text: click.style(text, bold=True),
        label_style=lambda text: click.style(text, fg="cyan"),
    )
    for line in lines:
        click.echo(line)

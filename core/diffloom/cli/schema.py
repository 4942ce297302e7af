"""`diffloom schema`: the JSON Schema that editors check and complete YAML files with. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import click

from diffloom.errors import DiffloomError


@click.command()
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.option(
    "--only",
    "distributions",
    multiple=True,
    metavar="DISTRIBUTION",
    help="Only this distribution's components; may be given several times.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file to write; the terminal otherwise."
)
def schema(plugins: tuple[str, ...], distributions: tuple[str, ...], output: Path | None) -> None:
    """Print the JSON Schema of configurations, following the plugins that are installed.

    A YAML file that opens with `# yaml-language-server: $schema=PATH` is checked and completed by editors.
    """
    from diffloom.config.schema import schema_text
    from diffloom.plugins import load_registry

    text = schema_text(load_registry(plugins), only=distributions or None)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiffloomError(f"{output}: cannot write the schema: {error.strerror}") from error

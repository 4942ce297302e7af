"""`diffloom export`: a model of ours → another program's form."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from diffloom.cli.model_options import weights_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["diffusers", "ldm"]),
    required=True,
    help="A folder for diffusers' DiffusionPipeline.from_pretrained, or a single file of latent-diffusion's.",
)
@click.option("--part", metavar="PART", help="Only one network: backbone, space, conditioners.prompt[0].")
@weights_option
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def export(
    run: Path,
    dest: Path,
    *,
    to: Literal["diffusers", "ldm"],
    part: str | None,
    weights: str,
    plugins: tuple[str, ...],
) -> None:
    """Write the model of RUN, a run folder or a checkpoint, to DEST in another program's form.

    What that program cannot say is refused with the reason, and nothing is written.
    """
    from diffloom.bridge.export.exporting import export as write
    from diffloom.cli.convert import table
    from diffloom.plugins import load_registry

    told = write(run, dest, to=to, registry=load_registry(plugins), weights=weights, part=part)
    for line in table(told):
        click.echo(line)
    click.echo(str(dest))

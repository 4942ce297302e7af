"""`diffloom cache`: encode every example once, to train from."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="A run that was stopped, however, goes on after its last file: give the same command again."
)
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder of the cache."
)
@click.option(
    "--shard-examples",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="Examples in a file; so many are in memory while it is made.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="float32 trains to the same bits as the pictures; float16 takes half the space.",
)
@click.option(
    "--views",
    type=click.IntRange(min=1),
    help="For data that are flipped or cropped at random: how many draws of each example to keep.",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
@click.pass_context
def cache(
    context: click.Context,
    *,
    file: str,
    overrides: tuple[str, ...],
    output: Path,
    shard_examples: int,
    dtype: str,
    views: int | None,
    plugins: tuple[str, ...],
    device: str | None,
) -> None:
    """Encode all data of FILE, a latent diffusion model, into a folder.

    With `latents: FOLDER` in FILE, or latents=FOLDER behind it, `diffloom train` then reads latents and encodes no
    pictures. The cache holds them before any normalisation: `diffloom calibrate` may come before or after.
    """
    from diffloom import config
    from diffloom.plugins import load_registry

    registry = load_registry(plugins)
    resolved = config.load(file, overrides, registry=registry)
    document = config.require_diffusion(resolved.document, place=file)

    from diffloom.cli.counting import example_progress
    from diffloom.device import usable_device
    from diffloom.latents.caching import Caching, described
    from diffloom.latents.opening import open_model

    model = open_model(document, registry=registry, device=usable_device(device))
    description = described(model, views=views, dtype=dtype, shard_examples=shard_examples)
    try:
        with example_progress("encoding", examples=description.rows) as on_rows:
            Caching(model, output, description).run(on_rows=on_rows)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on after the last whole file", err=True)
        context.exit(130)
    files = f"{description.shards} file{'s' if description.shards > 1 else ''}"
    click.echo(f"{output} ({description.rows} latents in {files})")

"""`diffloom calibrate`: measure latents, and store what was measured in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diffloom.latents.calibration import Measured


@click.command()
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A new file that extends FILE, for the statistics. [default: FILE itself, edited in place]",
)
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    help="Only so many, the first that training would visit. [default: all]",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
def calibrate(
    file: str,
    *,
    overrides: tuple[str, ...],
    output: Path | None,
    examples: int | None,
    plugins: tuple[str, ...],
    device: str | None,
) -> None:
    """Measure the latents of FILE, a latent diffusion model, on its data.

    Every channel's mean and standard deviation are written into FILE itself as `space.statistics`, or with -o into a
    new file beside it, and from then on latents are brought to mean 0 and deviation 1, which is what noise schedules
    are made for. All else in FILE stays as it is, comments too. A shipped configuration takes -o.
    """
    from diffloom import config
    from diffloom.plugins import load_registry

    registry = load_registry(plugins)
    resolved = config.load(file, overrides, registry=registry)

    from diffloom.cli.counting import example_progress
    from diffloom.device import usable_device
    from diffloom.latents.calibration import counted, measure
    from diffloom.latents.opening import open_model
    from diffloom.latents.statistics_file import StatisticsFile

    store = StatisticsFile(file, resolved, overrides, output, registry)
    store.require()
    model = open_model(store.document, registry=registry, device=usable_device(device))
    with example_progress("measuring", examples=counted(model, examples=examples)) as on_batch:
        measured = measure(model, examples=examples, on_batch=on_batch)
    store.write(measured.statistics)
    for line in _table(measured):
        click.echo(line)
    click.echo(f"{store.path}: {store.told}", err=True)
    click.echo(str(store.path))


def _table(measured: Measured) -> Iterator[str]:
    statistics = measured.statistics
    yield f"{'channel':>8}{'mean':>12}{'std':>12}"
    for channel, (mean, std) in enumerate(zip(statistics.mean, statistics.std, strict=True)):
        yield f"{channel:>8}{mean:>12.5g}{std:>12.5g}"
    yield f"{'all':>8}{'':>12}{measured.pooled_std:>12.5g}   over {statistics.examples} examples"

"""`diffloom ema`: averages of the weights."""

from __future__ import annotations

from pathlib import Path

import click

FAR = 0.05
"""Beyond this error of its profile an average is told to be another one."""


@click.group()
def ema() -> None:
    """Make averages of a run's weights afterwards."""


@ema.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--sigma-rel",
    type=float,
    required=True,
    help="The average's width as a share of the steps taken: 0.05 is short, 0.25 long.",
)
@click.option("--step", type=click.IntRange(min=1), help="The snapshot it ends at. [default: the last]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The checkpoint to write. [default: in RUN/averages/, named by step and width]",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def reconstruct(
    run: Path, *, sigma_rel: float, step: int | None, output: Path | None, plugins: tuple[str, ...]
) -> None:
    """Make the average of a width that RUN did not keep, from its snapshots (Karras et al. 2024).

    RUN was trained with `train.snapshot_every` and two averages of type `power`. The checkpoint that is written can be
    sampled as any other.
    """
    from diffloom.plugins import load_registry
    from diffloom.training.post_hoc import reconstruct as make

    made = make(run, sigma_rel=sigma_rel, registry=load_registry(plugins), step=step, output=output)
    click.echo(
        f"the average of width {sigma_rel:g} at step {made.step}, from {made.snapshots} snapshots; "
        f"its profile is off by {made.error:.2%}"
    )
    if made.error > FAR:
        click.echo(
            "warning: that is another average than the one asked for: the snapshots lie too far apart for its width, "
            "or the averages they hold are too unlike it; ask for a width near theirs, or train with a smaller "
            "train.snapshot_every",
            err=True,
        )
    click.echo(str(made.checkpoint))

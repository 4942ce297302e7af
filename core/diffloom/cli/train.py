"""`diffloom train`: train a model from a YAML file, or go on with a run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from diffloom.cli.going_on import GoingOn
from diffloom.errors import RunError, UnfinishedError
from diffloom.training.interrupt import Stopped, stopped_by_signals

EPILOG = """\
Ctrl-C, SIGTERM and SIGUSR1 finish the step, save, and say how to go on; a second Ctrl-C stops at once.

Exit codes: 0 the run is finished; 2 a mistake to mend; 3 training itself failed; 130 Ctrl-C; 75 the run ended through
no fault of its configuration (a signal, a full disk, a lost process), and a scheduler may start it again.
"""


@click.command(epilog=EPILOG)
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The run folder. [default: runs/ and FILE's name]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in that folder from its newest checkpoint.")
@click.option(
    "--requeue",
    is_flag=True,
    help="Begin, or go on where the run is there already: for schedulers, which repeat a command.",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
@click.pass_context
def train(
    context: click.Context,
    *,
    file: str,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    requeue: bool,
    plugins: tuple[str, ...],
    device: str | None,
) -> None:
    """Train the model of FILE, a YAML file or a shipped configuration such as diffloom:digits.

    KEY=VALUE changes a value of the file: train.steps=100 backbone.channels=[64,128].
    """
    if resume and requeue:
        raise RunError("--resume wants a run to go on with, and --requeue also begins one: give one of them")
    folder = output or default_folder(file)
    going_on = GoingOn(
        file=file, overrides=overrides, folder=folder, plugins=plugins, device=device, requeue=requeue
    )
    try:
        with stopped_by_signals():
            go_on = resume or (requeue and folder.exists())
            _train(file, overrides, folder, plugins=plugins, resume=go_on, device=device)
    except UnfinishedError as error:
        click.echo(f"error: {error}; to go on:\n  {going_on}", err=True)
        context.exit(error.exit_code)
    except Stopped as stop:
        click.echo(f"{stop}; to go on:\n  {going_on}", err=True)
        context.exit(stop.exit_code)
    if os.environ.get("RANK", "0") == "0":  # of several processes, one says it
        click.echo(str(folder))


def _train(
    file: str,
    overrides: tuple[str, ...],
    folder: Path,
    *,
    plugins: tuple[str, ...],
    resume: bool,
    device: str | None,
) -> None:
    from diffloom import config
    from diffloom.plugins import load_plugins
    from diffloom.training.progress import for_terminal

    loaded = load_plugins(plugins)
    resolved = config.load(file, overrides, registry=loaded.registry)
    progress = for_terminal()

    from diffloom.training import train  # torch comes last: mistakes show at once

    train(resolved, folder, plugins=loaded, resume=resume, device=device, progress=progress)


def default_folder(file: str) -> Path:
    """`runs/digits` for configs/digits.yaml and for diffloom:digits."""
    return Path("runs") / Path(file.rpartition(":")[2]).stem

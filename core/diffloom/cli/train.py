"""`diffloom train`: train a model from a YAML file, or go on with a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command(epilog="Ctrl-C finishes the step, saves and says how to go on; a second one stops at once.")
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The run folder. [default: runs/ and FILE's name]"
)
@click.option("--resume", is_flag=True, help="Go on with the run in that folder from its newest checkpoint.")
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
    plugins: tuple[str, ...],
    device: str | None,
) -> None:
    """Train the model of FILE, a YAML file or a shipped configuration such as diffloom:digits.

    KEY=VALUE changes a value of the file: train.steps=100 backbone.channels=[64,128].
    """
    from diffloom import config
    from diffloom.plugins import load_plugins
    from diffloom.training.progress import for_terminal

    folder = output or default_folder(file)
    loaded = load_plugins(plugins)
    resolved = config.load(file, overrides, registry=loaded.registry)
    progress = for_terminal()

    from diffloom.training import TrainingInterrupted, train  # torch comes last: mistakes show at once

    try:
        train(resolved, folder, plugins=loaded, resume=resume, device=device, progress=progress)
    except TrainingInterrupted as stop:
        options = [("-o", str(folder)), *(("-p", plugin) for plugin in plugins)]
        if device is not None:
            options.append(("--device", device))
        words = [
            "diffloom",
            "train",
            file,
            *(word for pair in options for word in pair),
            "--resume",
            *overrides,
        ]
        click.echo(f"{stop}; to go on:\n  {shlex.join(words)}", err=True)
        context.exit(stop.exit_code)
    except KeyboardInterrupt:
        click.echo("stopped at once; what was saved before can be resumed", err=True)
        context.exit(130)
    click.echo(str(folder))


def default_folder(file: str) -> Path:
    """`runs/digits` for configs/digits.yaml and for diffloom:digits."""
    return Path("runs") / Path(file.rpartition(":")[2]).stem

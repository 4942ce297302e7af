"""`diffloom verify-resume`: whether a configuration can be killed and resumed without a trace."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from diffloom.errors import RunError


@click.command("verify-resume")
@click.argument("file")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--steps", type=int, default=8, show_default=True, help="Optimiser steps, an even number.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Keep both runs in this folder. [default: nothing stays]",
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
@click.pass_context
def verify_resume(
    context: click.Context,
    *,
    file: str,
    overrides: tuple[str, ...],
    steps: int,
    output: Path | None,
    plugins: tuple[str, ...],
    device: str | None,
) -> None:
    """Train FILE for a few steps, and again with a kill (SIGKILL) in the middle and a resume; compare every tensor,
    every figure and every example.

    Exit code 0: equal bit for bit. 1: not; the first difference is named, with its likely cause. The runs need room for
    five checkpoints. No pictures are drawn unless KEY=VALUE sets train.sample_every.
    """
    if output is not None and output.exists():
        raise RunError(f"{output}: exists already; choose another -o")

    from diffloom.verification import verify_resume

    with tempfile.TemporaryDirectory(prefix="diffloom-verify-resume-") as passing:
        folder = output or Path(passing)
        verdict = verify_resume(file, overrides, steps=steps, folder=folder, plugins=plugins, device=device)
    click.echo(str(verdict))
    context.exit(0 if verdict.equal else 1)

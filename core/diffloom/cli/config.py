"""`diffloom config`: check a configuration, or show it resolved. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from diffloom.config import AnyDocument, Resolved

WIDEST = 56
"""Longest line, in characters, that the column of origins makes room for."""


@click.group()
def config() -> None:
    """Check a configuration, or show it resolved."""


@config.command()
@click.argument("file")
@click.argument("overrides", nargs=-1)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def check(file: str, overrides: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    """Say whether FILE, with OVERRIDES such as train.steps=100, can be built: every problem at once.

    FILE is a path, or a shipped configuration such as diffloom:digits.
    """
    resolved = _load(file, overrides, plugins)
    click.echo(f"{file}: ok")
    click.echo(f"  {summary(resolved.document)}")


@config.command()
@click.argument("file")
@click.argument("overrides", nargs=-1)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.option("--origin", is_flag=True, help="Say behind each value where it comes from.")
def show(file: str, overrides: tuple[str, ...], plugins: tuple[str, ...], origin: bool) -> None:
    """Print FILE resolved: every default filled, every component by its full name.

    FILE is a path, or a shipped configuration such as diffloom:digits.
    """
    resolved = _load(file, overrides, plugins)
    if not origin:
        click.echo(resolved.to_yaml(), nl=False)
        return
    lines = resolved.lines()
    width = min(WIDEST, max(len(text) for text, where in lines if where))
    for text, where in lines:
        click.echo(f"{text:<{width}}  # {where}" if where else text)


def summary(document: AnyDocument) -> str:
    """What a configuration describes, in one line."""
    from diffloom.config import AutoencoderDocument

    image = document.image.info
    size = f"{image.height}×{image.width}×{image.channels}"
    if isinstance(document, AutoencoderDocument):
        criteria = " and ".join(criterion.canonical for criterion in document.autoencoder.criteria)
        return f"{size} images; trains the space {document.space.canonical} to {criteria}"
    sampling = document.sampling
    conditions = ", ".join(document.conditioners) or "no condition"
    words = [
        f"{size} images in {document.space.canonical}",
        f"{document.backbone.canonical} with {conditions}",
        f"{document.schedule.canonical} of {document.schedule.axis.count or 'continuous'} times",
        document.prediction.canonical,
        f"{sampling.steps} steps of {sampling.sampler.canonical}",
    ]
    return "; ".join(words)


def _load(file: str, overrides: tuple[str, ...], plugins: tuple[str, ...]) -> Resolved:
    from diffloom.config import load
    from diffloom.plugins import load_registry

    return load(file, overrides, registry=load_registry(plugins))

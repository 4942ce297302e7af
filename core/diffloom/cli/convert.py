"""`diffloom convert`: another program's model → a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

DTYPES = ("float32", "float16", "bfloat16")


def answers(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`--assume prediction=v`, several times, as a mapping."""
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise click.BadParameter(
                f"{text!r}: expected KEY=VALUE, such as prediction=v", context, parameter
            )
        found[key] = value
    return found


@click.command()
@click.argument("source")
@click.argument("dest", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--assume",
    multiple=True,
    callback=answers,
    metavar="KEY=VALUE",
    help="The answer to what neither names nor shapes decide; a refusal lists the choices. Several may be given.",
)
@click.option(
    "--pickle", is_flag=True, help="Read pickles too: their tensors, and nothing else that is in them."
)
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="Store weights in this type. [default: the source's]"
)
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def convert(
    source: str,
    dest: Path,
    *,
    overrides: tuple[str, ...],
    assume: dict[str, str],
    pickle: bool,
    dtype: str | None,
    plugins: tuple[str, ...],
) -> None:
    """Write another program's model SOURCE to DEST.safetensors, a checkpoint that sample and load take.

    SOURCE is a diffusers pipeline's folder, a single file of latent-diffusion or Stable Diffusion, a U-Net of OpenAI's,
    or hf://owner/name. KEY=VALUE changes a value of the configuration that is concluded: sampling.steps=25.
    """
    import torch

    from diffloom.bridge.conversion import convert as write
    from diffloom.plugins import load_registry

    model = write(
        source,
        dest,
        overrides,
        registry=load_registry(plugins),
        pickle=pickle,
        assume=assume,
        dtype=None if dtype is None else getattr(torch, dtype),
    )
    for line in table(model.lines):
        click.echo(line)
    click.echo(str(dest))


def table(lines: Iterable[str]) -> Iterable[str]:
    """`subject: what` in two columns, each subject written once."""
    rows = [line.partition(": ")[::2] for line in lines]
    width = max(len(subject) for subject, _ in rows)
    last = None
    for subject, what in rows:
        yield f"{'' if subject == last else subject:<{width}}  {what}"
        last = subject

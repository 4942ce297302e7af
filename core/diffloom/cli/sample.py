"""`diffloom sample`: draw samples from a run folder or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffloom.cli.model_options import ModelCommand, weights_option

if TYPE_CHECKING:
    from diffloom.kinds import Conditioner
    from diffloom.seeds import Seed


class SeedType(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """`5`, `5:17`, `5:17,6:0`."""

    name = "seed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from diffloom.seeds import parse_seed

        try:
            return parse_seed(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


EPILOG = """\
A folder or a .npz file is written while drawing goes on: the same command goes on where it was stopped, and
`torchrun -m diffloom sample …` or `accelerate launch -m …` shares the images among all processes.

Exit codes: 0 all is drawn; 2 a mistake to mend; 130 Ctrl-C; 75 a signal: a scheduler may start the command again.
"""


@click.command(cls=ModelCommand, epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    help="How many samples; several conditions take turns. [default: 1, or one for each]",
)
@click.option("--steps", type=click.IntRange(min=1), help="Noise levels the sampler visits.")
@click.option(
    "--guidance",
    "scales",
    type=float,
    multiple=True,
    help="Guidance scale; 1 is the plain conditional model. Several take turns, one for each sample.",
)
@click.option(
    "--also",
    type=(float, str),
    multiple=True,
    metavar="WEIGHT NAME=VALUE",
    help="A further condition for all samples, such as `--also 0.5 label=7`; a weight is a scale of its own.",
)
@click.option("--sampler", help="Sampler by name, with its defaults.")
@click.option("--spacing", help="Which of the schedule's times are visited.")
@click.option(
    "--end",
    type=click.Choice(["clean", "first"]),
    help="Where the walk ends: at the clean picture, or at the schedule's first time.",
)
@click.option(
    "--seed",
    type=SeedType(),
    default=0,
    show_default=True,
    help="A number; 5:17 is sample 17 of seed 5; commas make a list.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="samples.png",
    show_default=True,
    help="A .png for one sheet, a folder for single images, a .npz for one array of all.",
)
@click.option(
    "--film", type=click.Path(path_type=Path), help="Also write a film strip of the first sample's denoising."
)
@weights_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Samples in the network at once; changes memory, not pictures. [default: by the memory there is, up to 64]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "tf32", "bf16", "fp16"]),
    help="What networks compute in.",
)
@click.option("--compile/--no-compile", default=None, help="Compile the network's blocks.")
@click.option("--caching", help="What the network need not compute at every step, by name: deep_features.")
@click.option(
    "--offload/--no-offload",
    default=None,
    help="Keep on the device only the part that works, one after another.",
)
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
@click.pass_context
def sample(
    context: click.Context,
    run: Path,
    *,
    count: int | None,
    steps: int | None,
    scales: tuple[float, ...],
    also: tuple[tuple[float, str], ...],
    sampler: str | None,
    spacing: str | None,
    end: str | None,
    seed: Seed | list[Seed],
    output: Path,
    film: Path | None,
    weights: str,
    batch_size: int | None,
    precision: str | None,
    compile: bool | None,
    caching: str | None,
    offload: bool | None,
    device: str | None,
    plugins: tuple[str, ...],
    conditions: dict[str, tuple[Any, ...]],
    negative: dict[str, tuple[Any, ...]],
) -> None:
    """Draw samples from RUN, a run folder or a .safetensors checkpoint.

    The model's own conditions are options too: `diffloom sample RUN --help` shows them. Every picture carries its
    recipe in its PNG metadata.
    """
    from diffloom.training.interrupt import Stopped, stopped_by_signals

    is_sheet = output.suffix.lower() == ".png"
    if not is_sheet and output.suffix.lower() not in ("", ".npz"):
        raise click.UsageError(
            f"-o {output}: give a .png file for one sheet, a folder for single images, or a .npz file"
        )
    try:
        with stopped_by_signals():
            import diffloom
            from diffloom.cli.drawing import Drawing
            from diffloom.drawing import Share

            share = Share.here()
            pipe = diffloom.load(
                run, weights=weights, device=share.device(device), plugins=plugins, offload=offload
            )
            given, away, guidance, total = _spread(conditions, negative, scales, count)
            asked: dict[str, Any] = {
                "steps": steps,
                "guidance": guidance[0] if len(scales) == 1 else guidance or None,
                "also": [(weight, _parsed(text, pipe.document.conditioners)) for weight, text in also],
                "sampler": sampler,
                "spacing": spacing,
                "end": end,
                "seed": seed,
                "negative": away,
                "precision": precision,
                "compile": compile,
                "caching": caching,
            }
            drawing = Drawing(pipe, total, asked | given, batch_size, share)
            if not is_sheet:
                _tell(drawing.collection(output))
            elif share.is_main:
                _tell(drawing.sheet(output))
            if film is not None and share.is_main:
                _tell(drawing.film(film))
    except Stopped as stop:
        going_on = "" if is_sheet else "; the same command goes on from there"
        click.echo(f"{stop}{going_on}", err=True)
        context.exit(stop.exit_code)


def _tell(line: str) -> None:
    if line:
        click.echo(line)


def _spread(
    conditions: dict[str, tuple[Any, ...]],
    negative: dict[str, tuple[Any, ...]],
    scales: tuple[float, ...],
    count: int | None,
) -> tuple[dict[str, list[Any]], dict[str, list[Any]], list[float], int | None]:
    """Conditions and scales repeated in turn up to `count` samples: `--label 3 --label 7 -n 4` draws 3, 7, 3, 7."""
    lengths = [len(values) for part in (conditions, negative) for values in part.values()]
    lengths += [len(scales)] if len(scales) > 1 else []
    if not lengths:
        return {}, {}, list(scales), count
    total = count or max(lengths)
    given, away = (
        {name: [values[i % len(values)] for i in range(total)] for name, values in part.items()}
        for part in (conditions, negative)
    )
    return given, away, [scales[i % len(scales)] for i in range(total) if scales], total


def _parsed(text: str, conditioners: Mapping[str, Conditioner]) -> dict[str, Any]:
    """`NAME=VALUE`, the value read by its conditioner."""
    name, equals, value = text.partition("=")
    if not equals or name not in conditioners:
        known = ", ".join(conditioners) or "none"
        raise click.UsageError(
            f"--also {text!r}: give a weight and NAME=VALUE, of one of this model's conditions ({known})"
        )
    try:
        return {name: conditioners[name].parse(value)}
    except ValueError as error:
        raise click.UsageError(f"--also {text!r}: {error}") from error

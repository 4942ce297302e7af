"""`diffloom sample`: draw samples from a run folder or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffloom.cli.model_options import ModelCommand, weights_option

if TYPE_CHECKING:
    from diffloom.kinds import Conditioner
    from diffloom.output import Output
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


@click.command(cls=ModelCommand)
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
    help="A .png for one sheet, a folder for single images.",
)
@click.option(
    "--film", type=click.Path(path_type=Path), help="Also write a film strip of the first sample's denoising."
)
@weights_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Samples in the network at once; changes memory, not pictures.",
)
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def sample(
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
    batch_size: int,
    device: str | None,
    plugins: tuple[str, ...],
    conditions: dict[str, tuple[Any, ...]],
    negative: dict[str, tuple[Any, ...]],
) -> None:
    """Draw samples from RUN, a run folder or a .safetensors checkpoint.

    The model's own conditions are options too: `diffloom sample RUN --help` shows them. Every picture carries its
    recipe in its PNG metadata.
    """
    import diffloom
    from diffloom.cli.progress import step_progress
    from diffloom.pictures import film_strip, save_png

    is_sheet = output.suffix.lower() == ".png"
    if not is_sheet and output.suffix:
        raise click.UsageError(f"-o {output}: give a .png file for one sheet, or a folder for single images")
    pipe = diffloom.load(run, weights=weights, device=device, plugins=plugins)
    given, away, guidance, total = _spread(conditions, negative, scales, count)
    options: dict[str, Any] = {
        "steps": steps,
        "guidance": guidance[0] if len(scales) == 1 else guidance or None,
        "also": [(weight, _parsed(text, pipe.document.conditioners)) for weight, text in also],
        "sampler": sampler,
        "spacing": spacing,
        "end": end,
        "seed": seed,
    }
    shown = total or (1 if isinstance(seed, int) else len(seed))
    with step_progress("sampling", samples=shown, batch_size=batch_size) as on_step:
        out = pipe.sample(n=total, batch_size=batch_size, on_step=on_step, negative=away, **(options | given))
    for line in _written(out, output, is_sheet):
        click.echo(line)
    if film is not None:
        first = {name: values[:1] for name, values in given.items()}
        seeds = [tuple(out.recipe["seeds"][0])]
        away = {name: values[:1] for name, values in away.items()}
        options |= {"seed": seeds, "guidance": guidance[0] if guidance else None}
        walk = pipe.stream(negative=away, **(options | first))
        strip = film_strip(walk, decode=pipe.decode)
        save_png(strip, film, recipe=out.recipe_of(0))
        click.echo(str(film))


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


def _written(out: Output, output: Path, is_sheet: bool) -> list[str]:
    """Write one sheet, or single images numbered from 0; returns the paths to tell."""
    from diffloom.pictures import save_png

    if is_sheet:
        image = out.images[0] if len(out.images) == 1 else out.grid()
        save_png(image, output, recipe=out.recipe)
        return [str(output)]
    for index, image in enumerate(out.images):
        save_png(image, output / f"{index:05d}.png", recipe=out.recipe_of(index))
    return [f"{output}/ ({len(out.images)} images)"]

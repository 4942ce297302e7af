"""`diffloom samplers`: which sampler suits a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffloom.cli.model_options import ModelCommand, weights_option
from diffloom.cli.sample import SeedType
from diffloom.training.replacement import replace_text

if TYPE_CHECKING:
    from diffloom.seeds import Seed

FIGURE, FIGURES = "bake_off.png", "figures.json"


class StepsType(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """`5,10,20`: rising numbers of steps."""

    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r}: write numbers of steps with commas, such as 5,10,20", param, ctx)
        return tuple(sorted({int(part) for part in parts}))


@click.group()
def samplers() -> None:
    """Compare the samplers on a model."""


@samplers.command("bake-off", cls=ModelCommand)
@click.argument("run")
@click.option(
    "--steps", type=StepsType(), default="5,10,20,40", show_default=True, help="Numbers of steps to try."
)
@click.option("--samplers", "names", help="Only these, with commas. [default: all that are installed]")
@click.option(
    "--reference-steps",
    type=click.IntRange(min=2),
    help="Steps of the long trajectory. [default: 16 times the most, or all times of the schedule]",
)
@click.option(
    "-n", "count", type=click.IntRange(min=3), default=16, show_default=True, help="How many samples."
)
@click.option("--guidance", type=float, help="Guidance scale; 1 is the plain conditional model.")
@click.option("--spacing", help="Which of the schedule's times are visited.")
@click.option("--seed", type=SeedType(), default=0, show_default=True, help="As in sample.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="bake_off",
    show_default=True,
    help=f"The folder for {FIGURE} and {FIGURES}.",
)
@weights_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Samples in the network at once; changes memory, not samples.",
)
@click.option("--device", help="cpu, cuda, cuda:1, … [default: cuda if there is any]")
@click.option("-p", "--plugin", "plugins", multiple=True, help="A Python file to load as a plugin.")
def bake_off(
    run: str,
    *,
    steps: tuple[int, ...],
    names: str | None,
    reference_steps: int | None,
    count: int,
    guidance: float | None,
    spacing: str | None,
    seed: Seed | list[Seed],
    output: Path,
    weights: str,
    batch_size: int,
    device: str | None,
    plugins: tuple[str, ...],
    conditions: dict[str, tuple[Any, ...]],
    negative: dict[str, tuple[Any, ...]],
) -> None:
    """Draw the same samples of RUN by every sampler, and say which comes near the true ones soonest.

    RUN is a run folder, a checkpoint, or a YAML file of a model that needs no training. All samplers begin with the
    same noise. Deterministic ones are measured against a long walk of the same model; stochastic ones arrive elsewhere
    by design, and only the distribution of their samples is compared.
    """
    from diffloom.inspection.plots import require_plots, save_figure

    require_plots()

    from diffloom.cli.counting import example_progress
    from diffloom.inspection.bake_off import bake_off as compare
    from diffloom.inspection.bake_off_figure import bake_off_figure
    from diffloom.inspection.bake_off_report import figures, lines
    from diffloom.inspection.candidates import candidates, changed
    from diffloom.inspection.contest import Contest
    from diffloom.inspection.reference import walked_reference
    from diffloom.inspection.trained import trained_pipeline
    from diffloom.inspection.verdict import verdict as judged

    pipeline = trained_pipeline(run, weights=weights, device=device, plugins=plugins)
    registry = pipeline.registry
    if spacing is not None:
        document = changed(pipeline.document, f"sampling.spacing={spacing}", registry=registry)
        pipeline = replace(pipeline, document=document)
    for number in steps:
        changed(
            pipeline.document, f"sampling.steps={number}", registry=registry
        )  # told before anything is computed
    entrants = candidates(pipeline.document, None if names is None else names.split(","), registry=registry)
    asked = {
        "count": count,
        "seed": seed,
        "guidance": guidance,
        "conditions": {name: _spread(values, count) for name, values in conditions.items()},
        "negative": {name: _spread(values, count) for name, values in negative.items()},
    }
    contest = Contest(pipeline, asked, batch_size)
    with example_progress("walking", examples=2 + len(entrants.suited) * len(steps)) as on_runs:
        reference = walked_reference(
            contest, pipeline.document, steps=reference_steps, longest=steps[-1], registry=registry
        )
        on_runs(2)
        found = compare(contest, entrants, reference, budgets=steps, on_run=lambda: on_runs(1))
    verdict = judged(found)
    for line in lines(found, verdict):
        click.echo(line)
    save_figure(bake_off_figure(found, verdict, title=f"Samplers on {run}"), output / FIGURE)
    replace_text(output / FIGURES, json.dumps(figures(found, verdict, contest), indent=1) + "\n")
    click.echo(f"{output}/ ({FIGURE}, {FIGURES})")


def _spread(values: tuple[Any, ...], count: int) -> list[Any]:
    """The values in turn, one for each sample."""
    return [values[index % len(values)] for index in range(count)]

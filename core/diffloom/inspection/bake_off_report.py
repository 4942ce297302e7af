"""A bake-off in words and as figures for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import diffloom
from diffloom import config
from diffloom.config.plain import plain
from diffloom.inspection.bake_off import BakeOff, Result, Standing
from diffloom.inspection.contest import Contest
from diffloom.inspection.verdict import Verdict, best_first


def lines(found: BakeOff, verdict: Verdict) -> Iterator[str]:
    """What the terminal shows: reference, tables, those left out, the recommendation."""
    reference, spacing = found.reference, found.reference.spacing
    run = reference.run
    count = len(run.samples_BD)
    yield (
        f"reference: {run.sampler.canonical}, {run.steps} steps{f' of {spacing}' if spacing else ''}, {run.calls:.0f} "
        f"network calls; half as many steps are {reference.uncertainty:.1e} off"
    )
    if found.deterministic:
        yield ""
        yield "deterministic samplers, best first: relative error along the reference's path (network calls)"
        yield from _table(
            best_first(found.deterministic), lambda result: f"{result.error:.2e} ({result.calls:.0f})"
        )
    if found.stochastic:
        yield ""
        yield f"stochastic samplers walk other paths: energy coefficient of {count} samples to the reference's (calls)"
        yield from _table(found.stochastic, lambda result: f"{_energy(result)} ({result.calls:.0f})")
        yield "  0 is the same distribution, 1 nothing shared; ± a standard error, less with more samples; * above two"
    if found.refused:
        yield ""
        yield "left out"
        yield from (f"  {refusal.sampler}: {refusal.reason}" for refusal in found.refused)
    yield ""
    yield f"recommended: {verdict.standing.name}, {verdict.result.steps} steps ({verdict.result.calls:.0f} calls)"
    yield f"  {verdict.reason}"


def figures(found: BakeOff, verdict: Verdict, contest: Contest) -> dict[str, Any]:
    """Everything, for programs."""
    pipeline, run = contest.pipeline, found.reference.run
    return {
        "diffloom": diffloom.__version__,
        "config": config.digest(pipeline.document),
        "weights": pipeline.weights_digest,
        "asked": {key: value for key, value in contest.asked.items() if value is not None},
        "reference": {
            "sampler": plain(run.sampler),
            "steps": run.steps,
            "spacing": found.reference.spacing or plain(pipeline.document.sampling.spacing),
            "calls": run.calls,
            "uncertainty": found.reference.uncertainty,
        },
        "samplers": [
            {
                "sampler": plain(standing.sampler),
                "stochastic": standing.sampler.stochastic,
                "order": standing.sampler.order,
                "results": [_result(result) for result in standing.results],
            }
            for standing in found.standings
        ],
        "left_out": {refusal.sampler: refusal.reason for refusal in found.refused},
        "recommended": {
            "sampler": plain(verdict.standing.sampler),
            "steps": verdict.result.steps,
            "reason": verdict.reason,
        },
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "steps": result.steps,
        "calls": result.calls,
        "error": result.error,
        "energy": result.energy.coefficient,
        "energy_standard_error": result.energy.standard_error,
    }


def _energy(result: Result) -> str:
    mark = "*" if result.energy.is_seen else ""
    return f"{result.energy.coefficient:.3f}{mark} ± {result.energy.standard_error:.3f}"


def _table(standings: Sequence[Standing], cell: Callable[[Result], str]) -> Iterator[str]:
    """A row for each sampler, a column for each number of steps; those with steps of their own have one figure."""
    width = max(len(standing.name) for standing in standings)
    steps = sorted({result.steps for standing in standings for result in standing.results})
    yield f"  {'':<{width}}" + "".join(f"{f'{count} steps':>22}" for count in steps)
    for standing in standings:
        cells = {result.steps: cell(result) for result in standing.results}
        yield f"  {standing.name:<{width}}" + "".join(f"{cells.get(count, ''):>22}" for count in steps)

"""Which sampler to take by default, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from diffloom.inspection.bake_off import BakeOff, Result, Standing

ENOUGH = 0.01
"""An error that nobody sees: 1 % of the samples' own size."""
LEAST = 1e-12
"""What stands for an error of 0, whose logarithm is infinite."""


@dataclass(frozen=True)
class Ranking:
    """The deterministic samplers by their error at equal numbers of network calls."""

    calls: tuple[float, ...]
    """Where they are compared: the least that all can have, the most, and the middle of their logarithms."""
    scores: tuple[tuple[Standing, float], ...]
    """Best first, each with its geometric mean error over these."""
    elsewhere: tuple[Standing, ...]
    """Those whose runs took other numbers of calls."""


@dataclass(frozen=True)
class Verdict:
    """The recommendation."""

    standing: Standing
    result: Result
    """At the recommended number of steps."""
    reason: str


def error_at(standing: Standing, calls: float) -> float:
    """The error of a deterministic sampler at a number of calls that lies between its runs: on the straight line
    between the two next to it, in logarithms."""
    points = [(result.calls, result.error or LEAST) for result in standing.results]
    for (fewer, worse), (more, better) in pairwise(points):
        if fewer <= calls <= more:
            share = math.log(calls / fewer) / math.log(more / fewer)
            return math.exp((1 - share) * math.log(worse) + share * math.log(better))
    ((_, error),) = [point for point in points if point[0] == calls]
    return error


def ranked(standings: Sequence[Standing]) -> Ranking:
    """The ranking where the samplers' numbers of calls overlap; those that need the most are left out until they do."""
    inside = sorted(standings, key=lambda standing: standing.results[0].calls)
    elsewhere = []
    while (least := inside[-1].results[0].calls) > (most := min(s.results[-1].calls for s in inside)):
        elsewhere.append(inside.pop())
    calls = tuple(dict.fromkeys((least, math.sqrt(least * most), most)))
    scores = [
        (standing, math.exp(sum(math.log(error_at(standing, count)) for count in calls) / len(calls)))
        for standing in inside
    ]
    return Ranking(calls, tuple(sorted(scores, key=lambda pair: (pair[1], pair[0].name))), tuple(elsewhere))


def best_first(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Deterministic samplers as they are ranked, then those that cannot be."""
    if not standings:
        return ()
    ranking = ranked(standings)
    return (*(standing for standing, _ in ranking.scores), *ranking.elsewhere)


def verdict(found: BakeOff) -> Verdict:
    """The deterministic sampler with the least error at equal calls, with the fewest steps that are enough.

    Where only stochastic samplers suit, the one whose samples are nearest in distribution, with all its steps.
    """
    if not found.deterministic:
        return _by_distribution(found.stochastic)
    ranking = ranked(found.deterministic)
    best, score = ranking.scores[0]
    enough = [result for result in best.results if result.error is not None and result.error <= ENOUGH]
    result = enough[0] if enough else best.results[-1]
    assert result.error is not None
    reasons = [
        f"the least error at equal network calls ({_span(ranking.calls)}): {score:.2g} in the geometric mean"
    ]
    if len(ranking.scores) > 1:
        runner_up, behind = ranking.scores[1]
        reasons[0] += f", before {runner_up.name} with {behind:.2g}"
    if enough:
        reasons.append(f"the fewest steps tried whose error is below {ENOUGH:.0%}")
    else:
        reasons.append(f"even the most steps tried leave more than {ENOUGH:.0%}")
    if result.error < 2 * found.reference.uncertainty:
        reasons.append("its error is the reference's own: give more --reference-steps to see it")
    return Verdict(best, result, "; ".join(reasons))


def _span(calls: Sequence[float]) -> str:
    ends = dict.fromkeys((calls[0], calls[-1]))
    return " to ".join(f"{count:.0f}" for count in ends)


def _by_distribution(standings: Sequence[Standing]) -> Verdict:
    best = min(standings, key=lambda standing: standing.results[-1].energy.coefficient)
    result = best.results[-1]
    return Verdict(
        best,
        result,
        "no deterministic sampler suits this model; its samples are the nearest to the reference's in distribution, at "
        f"an energy coefficient of {result.energy.coefficient:.2g} ± {result.energy.standard_error:.2g}",
    )

"""All samplers on one model: how far each comes with how many network calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diffloom.inspection.candidates import Candidates, Refusal, none_suits
from diffloom.inspection.contest import Contest, Run
from diffloom.inspection.distance import Energy, energy, path_error
from diffloom.inspection.reference import Reference
from diffloom.kinds import Sampler


@dataclass(frozen=True)
class Result:
    """One sampler at one number of steps."""

    steps: int
    calls: float
    """Network calls for one batch."""
    error: float | None
    """`path_error` to the reference; None for stochastic samplers, which walk other paths to other samples."""
    energy: Energy
    """Distance of the distributions of the samples and of the reference's."""


@dataclass(frozen=True)
class Standing:
    """One sampler's results, fewest steps first."""

    sampler: Sampler
    results: tuple[Result, ...]

    @property
    def name(self) -> str:
        """Its canonical name, the home distribution left out."""
        return self.sampler.canonical.removeprefix("diffloom/")


@dataclass(frozen=True)
class BakeOff:
    """Everything that was found."""

    reference: Reference
    standings: tuple[Standing, ...]
    refused: tuple[Refusal, ...]
    """Samplers that do not suit, or did not arrive."""

    @property
    def deterministic(self) -> tuple[Standing, ...]:
        """Those that follow the reference's path."""
        return tuple(standing for standing in self.standings if not standing.sampler.stochastic)

    @property
    def stochastic(self) -> tuple[Standing, ...]:
        """Those that can be compared in distribution only."""
        return tuple(standing for standing in self.standings if standing.sampler.stochastic)


def bake_off(
    contest: Contest,
    entrants: Candidates,
    reference: Reference,
    *,
    budgets: Sequence[int],
    on_run: Callable[[], None] = lambda: None,
) -> BakeOff:
    """Run every suited sampler at every number of steps; one that chooses its own steps once, at the largest.

    A sampler that refuses the levels, or whose samples are not finite, is set aside with the reason. Raises
    DiffloomError where that leaves none.
    """
    standings, refused = [], list(entrants.refused)
    for sampler in entrants.suited:
        results = []
        try:
            for steps in budgets[-1:] if sampler.own_steps else budgets:
                results.append(_judged(contest.run(sampler, steps=steps), reference))
                on_run()
        except ValueError as error:
            refused.append(Refusal(sampler.canonical, str(error)))
            continue
        standings.append(Standing(sampler, tuple(results)))
    if not standings:
        raise none_suits(refused)
    return BakeOff(reference, tuple(standings), tuple(refused))


def _judged(run: Run, reference: Reference) -> Result:
    """Raises ValueError for samples that are not finite."""
    if not run.is_finite:
        raise ValueError(f"its samples of {run.steps} steps are not finite")
    goal_BD = reference.run.samples_BD
    return Result(
        steps=run.steps,
        calls=run.calls,
        error=None if run.sampler.stochastic else path_error(run.samples_BD, goal_BD),
        energy=energy(run.samples_BD, goal_BD),
    )

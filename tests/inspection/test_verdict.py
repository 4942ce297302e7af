"""Rankings and recommendations. Oracle: samplers whose errors are power laws of their calls."""

import math
from dataclasses import dataclass

import pytest
import torch

from diffloom.inspection.bake_off import BakeOff, Result, Standing
from diffloom.inspection.contest import Run
from diffloom.inspection.distance import Energy
from diffloom.inspection.reference import Reference
from diffloom.inspection.verdict import best_first, error_at, ranked, verdict
from diffloom.kinds import Sampler, Walk


class Solver(Sampler):
    """Stands for a sampler by its name."""

    name = "solver"
    title: str
    draws: bool = False

    @property
    def stochastic(self) -> bool:
        return self.draws

    def build(self) -> Walk:
        raise AssertionError("never walked")


@dataclass(frozen=True)
class Named(Standing):
    """A standing that says its sampler's title."""

    @property
    def name(self) -> str:
        assert isinstance(self.sampler, Solver)
        return self.sampler.title


def standing(
    title: str,
    *,
    size: float,
    order: float,
    calls_per_step: int = 1,
    steps: tuple[int, ...] = (5, 10, 20, 40),
) -> Standing:
    """Error = size · calls^−order."""
    calls = [calls_per_step * count for count in steps]
    return Named(
        Solver(title=title),
        tuple(
            Result(steps=count, calls=many, error=size * many**-order, energy=Energy(0.0, 0.1))
            for count, many in zip(steps, calls, strict=True)
        ),
    )


def found(*standings: Standing, uncertainty: float = 1e-9) -> BakeOff:
    run = Run(Solver(title="long"), 640, 640, torch.zeros(3, 1))
    return BakeOff(Reference(run, None, uncertainty), standings, ())


def test_between_its_runs_a_power_law_is_followed_exactly():
    law = standing("law", size=7.0, order=1.5)
    for calls in (5, 7.3, 10, 39.9, 40):
        assert error_at(law, calls) == pytest.approx(7.0 * calls**-1.5, rel=1e-12)


def test_samplers_are_compared_at_equal_calls_and_not_at_equal_steps():
    one = standing("one", size=1.0, order=1)
    two = standing("two", size=1.8, order=1, calls_per_step=2)  # better at equal steps, worse at equal calls
    assert all(b.error < a.error for a, b in zip(one.results, two.results, strict=True))
    ranking = ranked([two, one])
    assert ranking.calls == (10, 20, 40)
    assert [(s.name, score) for s, score in ranking.scores] == [
        ("one", pytest.approx(1 / 20)),
        ("two", pytest.approx(1.8 / 20)),
    ]


def test_a_sampler_whose_calls_never_meet_the_others_is_not_ranked():
    dear = standing("dear", size=1e-6, order=1, calls_per_step=100)
    cheap, other = standing("cheap", size=1.0, order=1), standing("other", size=2.0, order=1)
    ranking = ranked([dear, other, cheap])
    assert [s.name for s in ranking.elsewhere] == ["dear"]
    assert [s.name for s in best_first([dear, other, cheap])] == ["cheap", "other", "dear"]


def test_a_single_number_of_steps_can_be_ranked():
    ranking = ranked(
        [standing("a", size=2.0, order=1, steps=(10,)), standing("b", size=1.0, order=1, steps=(10,))]
    )
    assert ranking.calls == (10,)
    assert [s.name for s, _ in ranking.scores] == ["b", "a"]


def test_the_fewest_steps_that_are_enough_are_recommended():
    # 4·calls^−2 is 0.04 at 10 and 0.01 at 20
    best = standing("best", size=4.0, order=2)
    chosen = verdict(found(standing("worse", size=4.0, order=1), best))
    assert (chosen.standing.name, chosen.result.steps) == ("best", 20)
    assert "before worse with 0.28" in chosen.reason  # 4/√(5·40), the middle of 5 … 40 in logarithms
    assert "the fewest steps tried whose error is below 1%" in chosen.reason


def test_where_nothing_is_enough_it_says_so():
    chosen = verdict(found(standing("best", size=4.0, order=1)))
    assert chosen.result.steps == 40
    assert "even the most steps tried leave more than 1%" in chosen.reason


def test_an_error_that_is_the_reference_s_own_is_told():
    assert "--reference-steps" in verdict(found(standing("best", size=4.0, order=2), uncertainty=0.02)).reason


def test_with_stochastic_samplers_alone_the_distributions_decide():
    def noisy(title: str, far: float) -> Standing:
        result = Result(steps=10, calls=10, error=None, energy=Energy(far, 0.01))
        return Named(Solver(title=title, draws=True), (result,))

    chosen = verdict(found(noisy("far", 0.3), noisy("near", 0.02)))
    assert chosen.standing.name == "near"
    assert "no deterministic sampler suits" in chosen.reason
    assert math.isclose(chosen.result.energy.coefficient, 0.02)

"""The search for the fewest steps. Oracle: errors by a law, every number of steps tried, by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from benchmarks.speed.works import good_picture
from benchmarks.speed.works.good_picture import ENTRANTS, Found
from torch import Tensor

MOST = 0.01


def law(entrant: tuple[str, str], steps: int, scales: Mapping[tuple[str, str], tuple[float, float]]) -> float:
    """An error that falls by a power of the steps."""
    scale, order = scales[entrant]
    return scale * (5 / steps) ** order


@pytest.mark.parametrize("best", [0, 4, 8])
def test_it_is_who_needs_the_fewest_and_is_best_there(monkeypatch: pytest.MonkeyPatch, best: int) -> None:
    scales = {
        entrant: (0.08 + 0.02 * ((number - best) % len(ENTRANTS)), 1.8 + 0.1 * (number % 3))
        for number, entrant in enumerate(ENTRANTS)
    }
    asked: list[int] = []

    def draw(*, sampler: str, spacing: str, steps: int) -> Tensor:
        asked.append(steps)
        return torch.tensor(law((sampler, spacing), steps, scales), dtype=torch.float64)

    monkeypatch.setattr(good_picture, "path_error", lambda made, goal: made.item())
    everything = [
        Found(*entrant, steps, law(entrant, steps, scales)) for steps in range(5, 51) for entrant in ENTRANTS
    ]
    steps = min(found.steps for found in everything if found.error <= MOST)
    expected = min((found for found in everything if found.steps == steps), key=lambda found: found.error)
    assert good_picture._fewest(draw, torch.zeros(()), MOST) == expected
    assert sum(asked) < 0.7 * len(ENTRANTS) * sum(range(5, steps + 1)), "most need not be tried"

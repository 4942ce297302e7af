"""The noise of a walk's steps, against the draws it is made of."""

from __future__ import annotations

from itertools import product

import torch

from diffloom.process import Draws, KeyedNoise
from diffloom.testing.closed_forms import preserving

DRAWS = Draws.of(5, (17, 3))


def test_a_step_has_as_many_noises_as_it_asks_for() -> None:
    """All different, each its own key's: step and draw; those of step 0 and draw 0 are what they always were."""
    noise = KeyedNoise(DRAWS, (2, 3, 3))
    for step, draw in product(range(3), range(3)):
        purpose = "step" if draw == 0 else f"step {draw}"
        assert torch.equal(noise(step, draw), DRAWS.at(step).normal(purpose, (2, 3, 3)))
    everything = torch.stack([noise(step, draw) for step, draw in product(range(3), range(3))])
    assert len(everything.flatten(1).unique(dim=0)) == 9


def test_it_has_the_walks_type_and_device() -> None:
    for dtype in (torch.float32, torch.float64):
        noise = KeyedNoise(DRAWS, (1, 2, 2), "cpu", dtype)
        levels = preserving(4)
        assert {noise(0).dtype, noise.between(levels[0], levels[1]).dtype} == {dtype}
        assert noise(0).shape == noise.between(levels[0], levels[1]).shape == (2, 1, 2, 2)
    assert KeyedNoise(DRAWS, (1,), "meta").between(levels[0], levels[1]).device.type == "meta"


def test_the_path_is_another_noise_than_the_steps() -> None:
    """Uncorrelated with them: at 5 standard errors, a false alarm in 2·10⁶ for each."""
    noise, (start, end, *_) = KeyedNoise(DRAWS, (100, 100), dtype=torch.float64), preserving(4)
    for index in range(3):
        correlation = (noise.between(start, end) * noise(index)).mean()
        assert abs(float(correlation)) < 5 / 20_000**0.5

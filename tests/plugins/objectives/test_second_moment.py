"""Times by loss, beside improved-diffusion's `LossSecondMomentResampler` written out with its lists; unbiased by
enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffloom.process import Draws, FlowSchedule, LinearSchedule
from diffloom_objectives import SecondMoment, SecondMomentTiming

TIMES, HISTORY = 8, 3
SCHEDULE = LinearSchedule(steps=TIMES).build()


class Resampler:
    """improved-diffusion's formulas, with a list for each time."""

    def __init__(self, uniform_share: float) -> None:
        self.uniform_share = uniform_share
        self.losses: list[list[float]] = [[] for _ in range(TIMES)]

    def update(self, times: list[int], losses: list[float]) -> None:
        for time, loss in zip(times, losses, strict=True):
            self.losses[time] = [*self.losses[time], loss][-HISTORY:]

    def probabilities(self) -> np.ndarray:
        if any(len(known) < HISTORY for known in self.losses):
            return np.full(TIMES, 1 / TIMES)
        weights = np.sqrt(np.mean(np.square(self.losses), axis=1))
        return weights / weights.sum() * (1 - self.uniform_share) + self.uniform_share / TIMES


def sampler(parts: int = TIMES, uniform_share: float = 0.1) -> SecondMoment:
    return SecondMomentTiming(parts=parts, history=HISTORY, uniform_share=uniform_share).build()


def feed(ours: SecondMoment, steps: int) -> Resampler:
    """Losses that grow with the time, at the times that ours draws; the peer hears the same."""
    peer = Resampler(ours.uniform_share)
    for step in range(steps):
        t_B, _ = ours(Draws.of(0, range(step * 16, step * 16 + 16)), schedule=SCHEDULE)
        loss_B = 0.1 + t_B * (1 + 0.01 * torch.arange(16))
        ours.observe(t_B, loss_B, schedule=SCHEDULE)
        peer.update(t_B.long().tolist(), loss_B.tolist())
    return peer


@pytest.mark.parametrize("steps", [0, 1, 3, 12, 40])
def test_probabilities_are_improved_diffusion_s(steps: int) -> None:
    ours = sampler()
    peer = feed(ours, steps)
    found = ours.probabilities(SCHEDULE.axis)
    torch.testing.assert_close(found, torch.from_numpy(peer.probabilities()), rtol=1e-14, atol=0)
    assert (steps < 12) == (len(set(found.tolist())) == 1)  # uniform until all are known


def test_times_come_as_often_as_they_should_and_factors_make_up_for_it() -> None:
    """Frequencies of 8000 draws within 5 standard errors; p·factor = 1/T at every time: the mean is unbiased."""
    ours = sampler()
    feed(ours, 40)
    chances = ours.probabilities(SCHEDULE.axis)
    t_B, factor_B = ours(Draws.of(1, range(8000)), schedule=SCHEDULE)
    counts = torch.bincount(t_B.long(), minlength=TIMES)
    error = (8000 * chances * (1 - chances)).sqrt()
    assert bool(((counts - 8000 * chances).abs() < 5 * error).all())
    torch.testing.assert_close(
        factor_B * chances[t_B.long()], torch.full_like(t_B, 1 / TIMES), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("parts", [3, 5, 100])
def test_parts_that_do_not_match_the_times_are_unbiased_too(parts: int) -> None:
    """Shares through the inverse distribution function, 4000 evenly spaced ones in place of draws."""
    ours = sampler(parts)
    feed(ours, 60)
    chances = ours.probabilities(SCHEDULE.axis)
    assert len(chances) == min(parts, TIMES)
    assert float(chances.max() / chances.min()) > 2

    class EvenlySpread(Draws):
        def uniform(self, purpose: str) -> torch.Tensor:
            return (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000

    t_B, factor_B = ours(EvenlySpread.of(0, range(4000)), schedule=SCHEDULE)
    for time in range(TIMES):
        assert float(factor_B[t_B == time].sum()) / 4000 == pytest.approx(
            1 / TIMES, rel=0.02
        )  # 4000 steps of share


def test_a_continuous_axis_has_parts_of_its_own() -> None:
    schedule, ours = FlowSchedule(shift=2.0).build(), sampler(parts=4)
    for step in range(10):
        t_B, _ = ours(Draws.of(0, range(step * 16, step * 16 + 16)), schedule=schedule)
        u_B = t_B / (2 - t_B)  # the inverse of 2u/(1 + u)
        ours.observe(t_B, (u_B * 4).floor() + 1, schedule=schedule)
    expected = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64) / 10
    torch.testing.assert_close(
        ours.probabilities(schedule.axis), 0.9 * expected + 0.1 / 4, rtol=1e-12, atol=0
    )


def test_nothing_lost_anywhere_prefers_no_time() -> None:
    ours = sampler()
    ours.observe(
        torch.arange(TIMES).repeat(HISTORY).double(), torch.zeros(TIMES * HISTORY), schedule=SCHEDULE
    )
    assert set(ours.probabilities(SCHEDULE.axis).tolist()) == {1 / TIMES}


def test_what_was_seen_is_in_its_state() -> None:
    ours, again = sampler(), sampler()
    feed(ours, 20)
    again.load_state_dict(ours.state_dict())
    draws = Draws.of(5, range(50))
    for came, wanted in zip(again(draws, schedule=SCHEDULE), ours(draws, schedule=SCHEDULE), strict=True):
        assert torch.equal(came, wanted)
    assert list(ours.parameters()) == []

"""Laws of the kind `ema`."""

from __future__ import annotations

import math

from diffloom.kinds import EMA
from diffloom.testing.checks import Check, expect

STEPS = (*range(1, 30), 100, 1000, 10_000, 1_000_000)
BATCHES = (1, 8, 256)


def keeps_a_share(component: EMA) -> None:
    """What remains is in [0, 1] at every step, and neither all nor nothing for good."""
    for batch_size in BATCHES:
        shares = [component.remaining(step, batch_size=batch_size) for step in STEPS]
        outside = [share for share in shares if not 0 <= share <= 1]
        expect(not outside, f"shares in [0, 1] with batches of {batch_size}", outside[:5])
        expect(max(shares) > 0, "something of the average to remain", "0 at every step")
        expect(min(shares) < 1, "the weights to reach the average", "1 at every step")


def repeats_itself(component: EMA) -> None:
    """Equal questions have equal answers, in any order: a resumed run asks from the middle."""
    for batch_size in BATCHES:
        there = [component.remaining(step, batch_size=batch_size) for step in STEPS]
        back = [component.remaining(step, batch_size=batch_size) for step in reversed(STEPS)]
        expect(there == back[::-1], f"the same shares backwards with batches of {batch_size}", "others")


def is_a_power_of_the_step_where_it_says(component: EMA) -> None:
    """One that has an exponent γ ≥ 0 keeps (1 − 1/t)^(γ+1) at step t, whatever the batch."""
    gamma = component.exponent
    if gamma is None:
        return
    expect(gamma >= 0, "an exponent of at least 0", gamma)
    for batch_size in BATCHES:
        for step in STEPS:
            wanted = (1 - 1 / step) ** (gamma + 1)
            came = component.remaining(step, batch_size=batch_size)
            same = math.isclose(came, wanted, rel_tol=1e-12)
            expect(same, f"{wanted:g} to remain at step {step} with exponent {gamma:g}", came)


CHECKS: tuple[Check, ...] = (keeps_a_share, repeats_itself, is_a_power_of_the_step_where_it_says)

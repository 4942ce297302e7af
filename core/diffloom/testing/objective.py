"""Laws of the kind `objective`. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffloom.kinds import Objective
from diffloom.process import Draws, Process
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import Noise, Posterior, Quarter, normal

SHAPE = (6, 2, 4, 4)
PROCESS = Process(schedule=Quarter(), prediction=Noise(), variance=Posterior())
Network = Callable[[Tensor, Tensor], Tensor]


def gives_one_loss_each(component: Objective) -> None:
    """The loss has shape (B,), is finite and keeps x₀'s dtype; the network sees x_t like x₀ and t_B in float32."""
    seen: list[Tensor] = []

    def network(x_t: Tensor, t_B: Tensor) -> Tensor:
        seen.append(t_B)
        expect(
            x_t.shape == SHAPE and x_t.dtype == torch.float32,
            f"x_t of {SHAPE} in float32",
            (x_t.shape, x_t.dtype),
        )
        expect(
            t_B.shape == SHAPE[:1] and t_B.dtype == torch.float32,
            "t_B of (B,) in float32",
            (t_B.shape, t_B.dtype),
        )
        inside = bool((t_B >= 0).all() and (t_B <= PROCESS.schedule.axis.last).all())
        expect(inside, f"times in [0, {PROCESS.schedule.axis.last:g}]", t_B.tolist())
        return torch.sin(x_t)

    for step in range(20):
        loss = component.build()(network, _x0().float(), process=PROCESS, draws=_draws(step))
        expect(loss.shape == SHAPE[:1], "one loss for each example, (B,)", tuple(loss.shape))
        expect(loss.dtype == torch.float32, "float32, as x0 is", loss.dtype)
        expect(bool(loss.isfinite().all()), "finite losses", loss.tolist())
    expect(len(set(torch.cat(seen).tolist())) > 1, "times that differ", "one time for all")


def is_least_for_a_perfect_network(component: Objective) -> None:
    """A network that outputs its target has a smaller loss than one that is off it, to either side."""
    x0 = _x0()

    def perfect(off: float) -> Network:
        def network(x_t: Tensor, t_B: Tensor) -> Tensor:
            alpha, sigma = (
                f(t_B).view(-1, 1, 1, 1) for f in (PROCESS.schedule.alpha, PROCESS.schedule.sigma)
            )
            target = PROCESS.prediction.target(x0, (x_t - alpha * x0) / sigma, alpha, sigma)
            return target + off * normal(SHAPE, seed=8)

        return network

    for step in range(5):
        best, above, below = (
            component.build()(perfect(off), x0, process=PROCESS, draws=_draws(step))
            for off in (0.0, 0.1, -0.1)
        )
        least = bool((best < above).all() and (best < below).all())
        expect(
            least,
            f"a loss below {above.tolist()} and {below.tolist()} for the perfect network",
            best.tolist(),
        )


def trains_the_network(component: Objective) -> None:
    """The loss carries a gradient to the network's weights."""
    weight = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    loss = component.build()(lambda x_t, t_B: weight * x_t, _x0(), process=PROCESS, draws=_draws())
    loss.sum().backward()  # type: ignore[no-untyped-call]
    came = weight.grad
    expect(came is not None and bool(came.isfinite() and came != 0), "a finite gradient other than 0", came)


def rows_are_independent(component: Objective) -> None:
    """An example's loss does not depend on how the batch is split: times and noise are keyed by the example."""
    x0, keys = _x0(), _draws().keys
    together = component.build()(_network, x0, process=PROCESS, draws=_draws())
    for rows in (slice(0, 2), slice(2, 3), slice(3, 6)):
        part = component.build()(_network, x0[rows], process=PROCESS, draws=Draws(keys[rows], step=0))
        expect_close(
            part, together[rows], within=1e-10, what=f"the losses of rows {rows.start} to {rows.stop - 1}"
        )


def draws_anew_each_step(component: Objective) -> None:
    """Equal keys give equal losses; another step, other times or noise."""
    losses = [component.build()(_network, _x0(), process=PROCESS, draws=_draws(step)) for step in (0, 0, 1)]
    expect(torch.equal(losses[0], losses[1]), "equal losses of equal keys", losses[1].tolist())
    expect(not torch.equal(losses[0], losses[2]), "other losses at another step", losses[2].tolist())


def _network(x_t: Tensor, t_B: Tensor) -> Tensor:
    return torch.sin(3 * x_t) + t_B.to(x_t.dtype).view(-1, 1, 1, 1) / 64


def _x0() -> Tensor:
    return normal(SHAPE, seed=5).tanh()


def _draws(step: int = 0) -> Draws:
    return Draws.of(17, range(SHAPE[0]), step)


CHECKS: tuple[Check, ...] = (
    gives_one_loss_each,
    is_least_for_a_perfect_network,
    trains_the_network,
    rows_are_independent,
    draws_anew_each_step,
)

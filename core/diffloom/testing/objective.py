"""Laws of the kind `objective`. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from diffloom.kinds import ImageInfo, Objective, Space, SpaceInfo
from diffloom.process import (
    CosineSchedule,
    Draws,
    FixedSmallVariance,
    LearnedRange,
    LearnedRangeVariance,
    Process,
    VPSchedule,
)
from diffloom.testing.checks import Check, expect, expect_close, expect_refusal
from diffloom.testing.closed_forms import Noise, Posterior, Quarter, normal
from diffloom.testing.modules import expect_seeded

SHAPE = (6, 2, 4, 4)
PROCESS = Process(schedule=Quarter(), prediction=Noise(), variance=Posterior())
CONTINUOUS = Process(schedule=VPSchedule().build(), prediction=Noise(), variance=Posterior())
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
            alpha, sigma = _columns(PROCESS, t_B)
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


BELIEFS = ((0.0, 0.5), (0.0, 0.35), (0.0, 0.7), (0.2, 0.5), (-0.2, 0.5))
"""Means and deviations of data: the true ones, and others."""


def is_least_for_the_true_denoiser(component: Objective) -> None:
    """Over many examples of normal data the mean loss is least for E[x₀ | x_t], not for that of other such data."""
    rows = 600
    x0 = 0.5 * normal((rows, 1, 2, 2), seed=4)
    for process in _processes(component):
        losses = []
        for mean, std in BELIEFS:

            def network(
                x_t: Tensor, t_B: Tensor, mean: float = mean, std: float = std, process: Process = process
            ) -> Tensor:
                alpha, sigma = _columns(process, t_B)
                share = alpha * std**2 / (alpha**2 * std**2 + sigma**2)
                guess = mean + share * (x_t - alpha * mean)
                return process.prediction.target(guess, (x_t - alpha * guess) / sigma, alpha, sigma)

            loss = component.build()(network, x0, process=process, draws=Draws.of(5, range(rows)))
            losses.append(loss.mean().item())
        told = ", ".join(f"{loss:.6g}" for loss in losses[1:])
        expect(losses[0] < min(losses[1:]), f"a mean loss below {told}", f"{losses[0]:.6g}")


def shows_its_estimate(component: Objective) -> None:
    """With self_conditioning the network sees zeros, or in half of the examples what it said of x₀ first."""
    seen: list[tuple[Tensor, Tensor]] = []
    shape = (40, 2, 2, 2)

    def network(x_t: Tensor, t_B: Tensor) -> Tensor:
        wanted = (shape[0], 2 * shape[1], *shape[2:])
        expect(x_t.shape == wanted, f"x_t and an estimate, {wanted}", tuple(x_t.shape))
        own, shown = x_t.chunk(2, 1)
        alpha, sigma = _columns(PROCESS, t_B)
        seen.append((shown, PROCESS.prediction.x0_eps(torch.sin(own), own, alpha, sigma)[0]))
        return torch.sin(own)

    x0 = normal(shape, seed=5).tanh()
    variant = component.model_copy(update={"self_conditioning": True})
    loss = variant.build()(network, x0, process=PROCESS, draws=Draws.of(17, range(shape[0])))
    expect(loss.shape == shape[:1], "one loss for each example, (B,)", tuple(loss.shape))
    shown, estimate = seen[-1]
    is_shown = shown.flatten(1).any(1)
    half = 8 < int(is_shown.sum()) < 32
    expect(half, "an estimate for about half of 40 examples", int(is_shown.sum()))
    expect_close(shown[is_shown], estimate[is_shown], within=1e-6, what="the estimates shown")


def knows_which_variances_it_trains(component: Objective) -> None:
    """`trains_variance`: of a variance too large for what is known its loss asks for less; else it is refused."""
    x0 = _x0()
    learned = Process(schedule=Quarter(), prediction=Noise(), variance=LearnedRange())
    raw = torch.zeros(SHAPE, dtype=torch.float64, requires_grad=True)

    def network(x_t: Tensor, t_B: Tensor) -> Tensor:
        alpha, sigma = _columns(learned, t_B)
        return torch.cat([(x_t - alpha * x0) / sigma, raw], 1)

    def loss() -> Tensor:
        return component.build()(network, x0, process=learned, draws=_draws())

    def check() -> None:
        component.check(schedule=CosineSchedule(), variance=LearnedRangeVariance(), space=_Pixels())

    if component.trains_variance:
        check()
        loss().sum().backward()  # type: ignore[no-untyped-call]
        down = raw.grad is not None and bool((raw.grad > 0).all())
        expect(down, "a gradient towards a smaller variance where x0 is known", raw.grad)
    else:
        expect_refusal(check, "check() with a learned variance")
        expect_refusal(loss, "twice the channels, of which half would stay untrained")


def is_told_by_seed_and_weights(component: Objective) -> None:
    """What it builds with weights of its own is a torch module, and equal seeds build equal ones."""
    if isinstance(component.build(), nn.Module):

        def build() -> nn.Module:
            module = component.build()
            assert isinstance(module, nn.Module)
            return module

        expect_seeded(build)


class _Pixels(Space):
    """Pictures as they are."""

    name = "pixels"
    lossless = True

    def info(self, image: ImageInfo) -> SpaceInfo:
        return SpaceInfo(image.channels, image.height, image.width)

    def build(self, *, image: ImageInfo) -> nn.Module:
        return nn.Identity()


def _processes(component: Objective) -> Iterator[Process]:
    """One with counted times, and one without number if its check() allows that."""
    yield PROCESS
    try:
        component.check(schedule=VPSchedule(), variance=FixedSmallVariance(), space=_Pixels())
    except ValueError:
        return
    yield CONTINUOUS


def _columns(process: Process, t_B: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = (
        f(t_B.double()).view(-1, 1, 1, 1) for f in (process.schedule.alpha, process.schedule.sigma)
    )
    return alpha, sigma


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
    is_least_for_the_true_denoiser,
    shows_its_estimate,
    knows_which_variances_it_trains,
    is_told_by_seed_and_weights,
)

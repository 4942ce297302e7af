"""Laws of the kind `weighting`. Legend: B batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from diffloom.kinds import Conversion, NoiseSchedule, Weighting
from diffloom.process import X0, CosineSchedule, Epsilon, FlowSchedule, Process, TableSchedule, V, VPSchedule
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import Posterior
from diffloom.testing.modules import awake, expect_state_tells_all

PURE = TableSchedule([0.99, 0.7, 0.4, 0.1, 0.0])
"""It ends without any signal."""
SCHEDULES: tuple[NoiseSchedule, ...] = (
    CosineSchedule(steps=40).build(),
    PURE,
    VPSchedule().build(),
    FlowSchedule().build(),
)


def counts_every_level(component: Weighting) -> None:
    """The loss rises with the error by a finite rate above 0 at every level, one without signal included."""
    weigh = component.build()
    for process, t_B in _processes():
        one = torch.ones_like(t_B)
        rate = weigh(2 * one, t_B, process=process) - weigh(one, t_B, process=process)
        good = bool((rate.isfinite() & (rate > 0)).all())
        expect(good, "a finite rate above 0 at every level", rate.tolist())


def rises_evenly_with_the_error(component: Weighting) -> None:
    """Twice the error more costs twice as much more: a weight, and perhaps a term of the level alone."""
    weigh = component.build()
    for process, t_B in _processes():
        one = torch.ones_like(t_B)
        first, second, fourth = (weigh(k * one, t_B, process=process) for k in (1, 2, 4))
        ratio = (fourth - second) / (second - first)
        expect_close(ratio, 2 * one, within=1e-6, what="the rise from 2 to 4 over that from 1 to 2")


def is_the_same_for_every_prediction(component: Weighting) -> None:
    """One error in x₀ costs the same whatever the network predicts; `of_output`, one error of the output does."""
    weigh = component.build()
    for schedule in SCHEDULES:
        t_B = _times(schedule)
        t_B = t_B[schedule.alpha(t_B) > 0]  # where there is no signal, some outputs say nothing of x₀
        alpha_B, sigma_B = schedule.alpha(t_B), schedule.sigma(t_B)
        costs = []
        for prediction in (X0(), Epsilon(), V()):
            gain_B = torch.as_tensor(prediction.gain(alpha_B, sigma_B)).expand(t_B.shape)
            error_B = torch.ones_like(t_B) if component.of_output else gain_B**2
            costs.append(weigh(error_B, t_B, process=_process(schedule, prediction)))
        for cost_B in costs[1:]:
            expect_close(
                cost_B / costs[0], torch.ones_like(t_B), within=1e-6, what="its cost over that for x0"
            )


def rows_are_independent(component: Weighting) -> None:
    """A row depends on its error and its time alone, keeps its place and its dtype, and is the same twice."""
    weigh = component.build()
    for process, t_B in _processes():
        error_B = torch.linspace(0.5, 2, len(t_B))
        together = weigh(error_B, t_B, process=process)
        expect(together.shape == t_B.shape, f"a loss for each of {len(t_B)} rows", tuple(together.shape))
        expect(together.dtype == torch.float32, "float32, as the errors are", together.dtype)
        turned = weigh(error_B.flip(0), t_B.flip(0), process=process).flip(0)
        alone = torch.cat(
            [weigh(error_B[i : i + 1], t_B[i : i + 1], process=process) for i in range(len(t_B))]
        )
        for what, rows in (("the rows turned round", turned), ("each row alone", alone)):
            expect_close(
                rows / together, torch.ones_like(together), within=1e-5, what=f"{what}, over the batch"
            )


def trains_the_network(component: Weighting) -> None:
    """The error's gradient goes through, and a weight that is learned gets one too."""
    weigh = component.build()
    for process, t_B in _processes():
        error_B = torch.full_like(t_B, 3.0).requires_grad_()
        weigh(error_B, t_B, process=process).sum().backward()  # type: ignore[no-untyped-call]
        came = error_B.grad
        expect(came is not None and bool((came > 0).all()), "a gradient above 0 for every error", came)
    if isinstance(weigh, nn.Module):
        bare = [name for name, weight in weigh.named_parameters() if weight.grad is None]
        expect(not bare, "a gradient for every weight of its own", f"none for {', '.join(bare)}")


def is_told_by_its_state(component: Weighting) -> None:
    """The state_dict of a weight that is learned holds all that it depends on."""
    built = component.build()
    if isinstance(built, nn.Module) and list(built.state_dict()):

        def build() -> nn.Module:
            module = component.build()
            assert isinstance(module, nn.Module)
            return module

        def output(module: nn.Module) -> Tensor:
            process, t_B = next(_processes())
            with torch.no_grad():
                cost_B = module(torch.ones_like(t_B), t_B, process=process)
            assert isinstance(cost_B, Tensor)
            return cost_B

        expect_state_tells_all(build, output)
        moved = awake(build())
        expect(
            not torch.equal(output(moved), torch.ones_like(output(moved))),
            "its weights to matter",
            "no change",
        )


def _processes() -> Iterator[tuple[Process, Tensor]]:
    """Every schedule with every prediction that it allows, and its times."""
    for schedule in SCHEDULES:
        predictions: list[Conversion] = [X0(), V()]
        if schedule is not PURE:
            predictions.append(Epsilon())
        for prediction in predictions:
            yield _process(schedule, prediction), _times(schedule)


def _process(schedule: NoiseSchedule, prediction: Conversion) -> Process:
    return Process(schedule=schedule, prediction=prediction, variance=Posterior())


def _times(schedule: NoiseSchedule) -> Tensor:
    axis = schedule.axis
    if axis.count is not None:
        return torch.tensor([axis.whole(number) for number in range(axis.count)], dtype=torch.float64)
    return torch.tensor([axis.at(number / 20) for number in range(21)], dtype=torch.float64)


CHECKS: tuple[Check, ...] = (
    counts_every_level,
    rises_evenly_with_the_error,
    is_the_same_for_every_prediction,
    rows_are_independent,
    trains_the_network,
    is_told_by_its_state,
)

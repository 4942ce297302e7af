"""The oracle in a model's terms. Oracle: the mixture itself, which knows no schedule, prediction or float32 time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom.process import (
    CosineSchedule,
    Draws,
    Epsilon,
    FixedSmall,
    LearnedRange,
    Level,
    LinearSchedule,
    Process,
    V,
    denoiser,
)
from diffloom.registry import Registry
from diffloom.testing.closed_forms import normal
from diffloom.testing.oracle import GaussianMixture, Oracle, OracleNetwork

IDS = torch.tensor([0, 3, 2])
SCHEDULE = CosineSchedule().build()


def bound(mixture: GaussianMixture, process: Process, **fields: bool) -> OracleNetwork:
    network = OracleNetwork(mixture=mixture, **fields)
    network.bind(process)
    return network


def specimens(registry: Registry, kind: str, folder: Path) -> Iterator[Any]:
    """Every configuration of diffloom's own that the conformance kit examines."""
    for part in registry.of_kind(kind):
        if part.canonical == f"diffloom/{part.name}":
            yield from part.specimens(folder)


def x_of(level: Level) -> Tensor:
    return (level.alpha + level.sigma) * normal((3, 2, 2, 2))


@torch.no_grad()
def test_it_is_the_mixture_through_every_prediction(
    pictures: GaussianMixture, registry: Registry, tmp_path: Path
) -> None:
    """At whole times to what the conversion itself loses: 1e-15 over alpha or sigma, both above 1e-4 here."""
    parts = list(specimens(registry, "prediction", tmp_path))
    assert len(parts) >= 3
    for part in parts:
        prediction = part.build(schedule=SCHEDULE)
        network = bound(pictures, Process(SCHEDULE, prediction, FixedSmall()))
        for level in SCHEDULE.levels([998.0, 600.0, 3.0])[:-1]:
            x_t = x_of(level)
            seen = denoiser(network, prediction)(x_t, level, Condition(class_B=IDS))
            wanted = pictures.denoise(x_t, level, IDS)
            for one, other in ((seen.x0_BCHW, wanted.x0_BCHW), (seen.eps_BCHW, wanted.eps_BCHW)):
                error = (one - other).abs().max().item()
                assert error < 1e-10 * max(1.0, other.abs().max().item()), part.name


@torch.no_grad()
def test_a_time_in_float32_is_exact_enough(
    pictures: GaussianMixture, registry: Registry, tmp_path: Path
) -> None:
    """At any level of any schedule, x₀ is 1e-5 off, in units of the largest of x₀ and x_t."""
    space = SpaceInfo(channels=2, height=2, width=2)
    for part in specimens(registry, "schedule", tmp_path):
        schedule, v = part.build(space=space), V()
        network = bound(pictures, Process(schedule, v, FixedSmall()))
        axis = schedule.axis
        for share in (0.0, 0.01, 1 / 3, 0.77, 0.9931, 1.0):
            (level, _) = schedule.levels([axis.at(share)])
            x_t = x_of(level)
            seen = denoiser(network, v)(x_t, level, Condition(class_B=IDS))
            error = (seen.x0_BCHW - pictures.denoise(x_t, level, IDS).x0_BCHW).abs().max().item()
            assert error < 1e-5 * max(1.0, x_t.abs().max().item()), (part, share)


@torch.no_grad()
def test_rows_may_stand_at_different_times(pictures: GaussianMixture) -> None:
    network = bound(pictures, Process(SCHEDULE, Epsilon(), FixedSmall()))
    x_t, t_B = normal((3, 2, 2, 2)), torch.tensor([990.0, 412.5, 0.0])
    together = network(x_t, t_B, Condition(class_B=IDS))
    for row in range(3):
        rows = slice(row, row + 1)
        alone = network(x_t[rows], t_B[rows], Condition(class_B=IDS[rows]))
        torch.testing.assert_close(together[rows], alone, rtol=0, atol=1e-13)


@torch.no_grad()
@pytest.mark.parametrize("t", [1.0, 500.0, 998.0])
def test_its_variance_is_that_of_the_reverse_step(pictures: GaussianMixture, t: float) -> None:
    """Of one Gaussian, x_s given x_t is normal, with the variance of conditioning two jointly normal numbers.

    v_s − c²/v_t, where c = alpha_t/alpha_s·v_s is their covariance: no posterior given x₀ is in it.
    """
    alone = GaussianMixture(
        pictures.means_JCHW[:1], pictures.stds_J[:1], torch.ones(1).double(), torch.tensor([0])
    )
    schedule, variance = LinearSchedule().build(), LearnedRange()
    network = bound(alone, Process(schedule, Epsilon(), variance), learn_variance=True)
    current, following, _ = schedule.levels([t, t - 1])
    seen = denoiser(network, Epsilon(), learned_variance=True)(x_of(current), current, Condition())
    v_t, v_s = (
        level.alpha**2 * alone.stds_J[0].item() ** 2 + level.sigma**2 for level in (current, following)
    )
    wanted = v_s - (current.alpha / following.alpha * v_s) ** 2 / v_t
    found = variance.std(current, following, seen)
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found, torch.full_like(found, math.sqrt(wanted)), rtol=1e-6, atol=0)


@torch.no_grad()
def test_an_estimate_of_x0_changes_nothing(pictures: GaussianMixture) -> None:
    network = bound(pictures, Process(SCHEDULE, Epsilon(), FixedSmall()))
    x_t, t_B, condition = normal((3, 2, 2, 2)), torch.full((3,), 300.0), Condition(class_B=IDS)
    both = network(torch.cat([x_t, normal((3, 2, 2, 2), seed=5)], 1), t_B, condition)
    assert torch.equal(both, network(x_t, t_B, condition))


def test_its_data_are_where_its_loss_is_least(line: GaussianMixture) -> None:
    """The means are weights; on the mixture's own samples the ε loss has no slope, within 5 standard errors.

    3 weights, 10,000 samples, one time: a false alarm in 6·10⁵. Means that are 0.1 off have a gradient, and are told.
    """
    schedule = LinearSchedule().build()
    process, count = Process(schedule, Epsilon(), FixedSmall()), 10_000
    x0 = line.sample(Draws.of(3, range(count)))
    eps, t_B = normal((count, 1, 1, 1), seed=4), torch.full((count,), 300.0)
    (level, _) = schedule.levels([300.0])
    x_t = level.alpha * x0 + level.sigma * eps

    def slopes(shift: float) -> tuple[Tensor, Tensor]:
        """Of the loss by each mean, and their standard errors; from batches of 100."""
        network = bound(line, process).double()
        with torch.no_grad():
            network.means_JCHW.add_(shift)
        losses = (network(x_t, t_B, Condition()) - eps).square().view(100, 100).mean(1)
        slopes_SJ = torch.stack(
            [torch.autograd.grad(loss, network.means_JCHW, retain_graph=True)[0].flatten() for loss in losses]
        )
        return slopes_SJ.mean(0), slopes_SJ.std(0) / 10

    slope_J, error_J = slopes(0.0)
    assert bool((slope_J.abs() < 5 * error_J).all())
    slope_J, error_J = slopes(0.1)
    assert bool((slope_J.abs() > 5 * error_J).any())


def test_it_asks_to_be_bound(pictures: GaussianMixture) -> None:
    network = OracleNetwork(mixture=pictures)
    with pytest.raises(ValueError, match=r"tell it by bind\(process\)"):
        network(normal((1, 2, 2, 2)), torch.zeros(1), Condition())


def test_its_means_can_be_kept_and_moved(pictures: GaussianMixture) -> None:
    """As weights of a state_dict; the mixture follows them, and the float32 weights hold its means exactly."""
    network = OracleNetwork(mixture=pictures)
    assert torch.equal(network.mixture.means_JCHW, pictures.means_JCHW)
    other = Oracle(spread=0.7, std=0.4, seed=1).build(
        space=SpaceInfo(channels=2, height=2, width=2), condition=ConditionInfo(classes=4)
    )
    assert not torch.equal(other.mixture.means_JCHW, pictures.means_JCHW)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.mixture.means_JCHW, pictures.means_JCHW)

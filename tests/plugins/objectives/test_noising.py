"""What a loss shows the network: diffusers' offset noise and input perturbation by hand, and Chen et al.'s algorithm 1.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffloom.kinds import Objective
from diffloom.process import (
    Draws,
    EDMPrediction,
    EDMSchedule,
    Epsilon,
    FixedSmall,
    LinearSchedule,
    Process,
    V,
)
from diffloom_objectives import (
    HuberObjective,
    HybridObjective,
    LpObjective,
    SimpleObjective,
    VariationalBoundObjective,
)

SCHEDULE = LinearSchedule().build()
PROCESS = Process(schedule=SCHEDULE, prediction=V(), variance=FixedSmall())
ROWS, SHAPE = 8, (3, 4, 5)
DRAWS = Draws.of(3, range(ROWS))
X0_BCHW = torch.rand(ROWS, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def normal(purpose: str, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return DRAWS.normal(purpose, shape, dtype=torch.float64)


def alpha_sigma() -> tuple[Tensor, Tensor]:
    bar = SCHEDULE.alpha_bar[(DRAWS.uniform("time") * 1000).long()].view(-1, 1, 1, 1)
    return bar.sqrt(), (1 - bar).sqrt()


class Recorder:
    """A fixed network that keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, x_t: Tensor, t_B: Tensor) -> Tensor:
        self.seen.append(x_t)
        return torch.tanh(x_t[:, :3].roll(1, 1))


@pytest.mark.parametrize(("offset", "gamma"), [(0.1, 0.0), (0.0, 0.1), (0.2, 0.3)])
def test_offset_noise_and_input_perturbation(offset: float, gamma: float) -> None:
    """diffusers' scripts: noise + offset·randn(B, C, 1, 1) is the target; x_t has γ·randn more, which is not."""
    network = Recorder()
    objective = SimpleObjective(offset_noise=offset, input_perturbation=gamma)
    found = objective.build()(network, X0_BCHW, process=PROCESS, draws=DRAWS)
    noise = normal("noise") + offset * normal("offset noise", (3, 1, 1))
    alpha, sigma = alpha_sigma()
    shown = alpha * X0_BCHW + sigma * (noise + gamma * normal("input perturbation"))
    torch.testing.assert_close(network.seen[0], shown, rtol=1e-12, atol=1e-13)
    target = alpha * noise - sigma * X0_BCHW
    expected = (Recorder()(shown, torch.empty(0)) - target).square().mean((1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=0)


def test_the_network_sees_a_preconditioned_input() -> None:
    """EDM's c_in·x (Karras et al. 2022, table 1), and its target (x₀ − c_skip·x)/c_out."""
    schedule, network = EDMSchedule().build(), Recorder()
    process = Process(
        schedule=schedule, prediction=EDMPrediction().build(schedule=schedule), variance=FixedSmall()
    )
    found = SimpleObjective().build()(network, X0_BCHW, process=process, draws=DRAWS)
    times = schedule.axis.at(DRAWS.uniform("time")).view(-1, 1, 1, 1)
    sigma, data = (4 * times).exp(), 0.5
    x = X0_BCHW + sigma * normal("noise")
    seen = x / (sigma**2 + data**2).sqrt()
    torch.testing.assert_close(network.seen[0], seen, rtol=1e-9, atol=0)
    skip, out = data**2 / (sigma**2 + data**2), sigma * data / (sigma**2 + data**2).sqrt()
    expected = (Recorder()(seen, torch.empty(0)) - (X0_BCHW - skip * x) / out).square().mean((1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


OBJECTIVES = [
    SimpleObjective(),
    LpObjective(),
    HuberObjective(),
    VariationalBoundObjective(),
    HybridObjective(),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_self_conditioning(objective: Objective) -> None:
    """Zeros at first; then, for the examples whose coin says so, the x₀ that the first answer means; no gradient."""
    network = Recorder()
    slope = torch.ones((), dtype=torch.float64, requires_grad=True)

    def sloped(x_t: Tensor, t_B: Tensor) -> Tensor:
        return slope * network(x_t, t_B)

    loss = objective.model_copy(update={"self_conditioning": True}).build()
    found = loss(sloped, X0_BCHW, process=PROCESS, draws=DRAWS)
    first, second = network.seen
    alpha, sigma = alpha_sigma()
    x_t = alpha * X0_BCHW + sigma * normal("noise")
    assert torch.equal(first[:, 3:], torch.zeros_like(x_t))
    coin = DRAWS.uniform("self-conditioning") < 0.5
    assert 0 < int(coin.sum()) < ROWS
    answer = torch.tanh(x_t.roll(1, 1))
    estimate = torch.where(coin.view(-1, 1, 1, 1), alpha * x_t - sigma * answer, 0.0)
    torch.testing.assert_close(second, torch.cat([x_t, estimate], 1), rtol=1e-11, atol=1e-12)
    assert not second.requires_grad
    assert found.requires_grad


def test_a_loss_is_the_same_in_any_batch_with_every_extra() -> None:
    objective = SimpleObjective(offset_noise=0.1, input_perturbation=0.1, self_conditioning=True).build()
    whole = objective(Recorder(), X0_BCHW, process=PROCESS, draws=DRAWS)
    for rows in (slice(0, 3), slice(3, 8)):
        part = objective(Recorder(), X0_BCHW[rows], process=PROCESS, draws=Draws(DRAWS.keys[rows]))
        assert torch.equal(part, whole[rows])


def test_epsilon_s_perturbed_input_is_ning_s() -> None:
    """Ning et al. 2023, algorithm 1: y = √ᾱ·x₀ + √(1 − ᾱ)·(ε + γξ), and the loss is of ε."""
    network = Recorder()
    process = Process(schedule=SCHEDULE, prediction=Epsilon(), variance=FixedSmall())
    found = SimpleObjective(input_perturbation=0.1).build()(network, X0_BCHW, process=process, draws=DRAWS)
    expected = (Recorder()(network.seen[0], torch.empty(0)) - normal("noise")).square().mean((1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)

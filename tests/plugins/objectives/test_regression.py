"""Losses of the prediction against formulas written out by hand, diffusers' training step and closed-form averages."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from diffloom.kinds import Conversion
from diffloom.process import (
    X0,
    CosineSchedule,
    Draws,
    Epsilon,
    FixedSmall,
    LinearSchedule,
    Process,
    TableSchedule,
    V,
)
from diffloom_objectives import HuberObjective, LpObjective, Regression, SimpleObjective

LINEAR = LinearSchedule().build()
SIMPLE = SimpleObjective().build()
X0_BCHW = torch.rand(6, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1


def process(prediction: Conversion, schedule: TableSchedule = LINEAR) -> Process:
    return Process(schedule=schedule, prediction=prediction, variance=FixedSmall())


class Recorder:
    """A fixed network that keeps what it saw."""

    def __init__(self) -> None:
        self.x_t = torch.empty(0)
        self.t_B = torch.empty(0)

    def __call__(self, x_t: Tensor, t_B: Tensor) -> Tensor:
        self.x_t, self.t_B = x_t, t_B
        return torch.tanh(x_t.roll(1, 1)) + t_B.to(x_t.dtype).view(-1, 1, 1, 1) / 1000


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_training_step_of_diffusers(prediction: str) -> None:
    """Its add_noise, its targets, its scripts' loss, at the times and with the noise that the keys give."""
    peer = DDPMScheduler()
    ours: Conversion = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}[prediction]
    network, draws = Recorder(), Draws.of(3, range(6), step=41)
    table = TableSchedule(peer.alphas_cumprod)
    found = SIMPLE(network, X0_BCHW, process=process(ours, table), draws=draws)

    noise = draws.normal("noise", (3, 4, 5))
    times = (draws.uniform("time") * 1000).long()
    noisy = peer.add_noise(X0_BCHW, noise, times)  # type: ignore[arg-type]
    target = {
        "epsilon": noise,
        "sample": X0_BCHW,
        "v_prediction": peer.get_velocity(X0_BCHW, noise, times),  # type: ignore[arg-type]
    }[prediction]
    assert torch.equal(network.t_B, times.float())
    torch.testing.assert_close(network.x_t, noisy, rtol=1e-5, atol=1e-6)
    expected = torch.stack(
        [
            torch.nn.functional.mse_loss(*pair)
            for pair in zip(Recorder()(noisy, times.float()), target, strict=True)
        ]
    )
    assert found.shape == (6,)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_times_are_uniform_over_the_whole_table() -> None:
    """Counts of 20 times in 20,000 draws: χ² with 19 degrees of freedom exceeds 65 once in 10⁶."""
    network = Recorder()
    short = LinearSchedule(steps=20).build()
    rows = 20_000
    SIMPLE(
        network, torch.zeros(rows, 1, 1, 1), process=process(Epsilon(), short), draws=Draws.of(0, range(rows))
    )
    counts = torch.bincount(network.t_B.long(), minlength=20).double()
    assert len(counts) == 20
    assert float(((counts - rows / 20) ** 2 / (rows / 20)).sum()) < 65


@pytest.mark.parametrize(
    ("prediction", "of_zero_data"),
    [(Epsilon(), 1.0), (X0(), 0.0), (V(), float(LINEAR.alpha_bar.mean()))],
    ids=["epsilon", "x0", "v"],
)
def test_average_loss_of_a_network_that_says_nothing(prediction: Conversion, of_zero_data: float) -> None:
    """Output 0, data 0: the loss is the target's power, E[ε²] = 1, 0, or E[ᾱ]; 5 standard errors over 4000 rows.

    A row's loss over 64 pixels has at most v's variance, E[ᾱ²]·2/64 + Var[ᾱ] = 0.352².
    """
    rows = 4000
    loss = SIMPLE(
        lambda x, t: torch.zeros_like(x),
        torch.zeros(rows, 1, 8, 8),
        process=process(prediction),
        draws=Draws.of(1, range(rows)),
    )
    assert float(loss.mean()) == pytest.approx(of_zero_data, abs=5 * 0.352 / rows**0.5)


@pytest.mark.parametrize("prediction", [Epsilon(), X0(), V()], ids=["epsilon", "x0", "v"])
@pytest.mark.parametrize("schedule", [LINEAR, CosineSchedule().build()], ids=["linear", "cosine"])
def test_a_perfect_network_has_no_loss(prediction: Conversion, schedule: TableSchedule) -> None:
    """It knows x₀ and reads ε off x_t; float64, so that nothing but rounding over sigma ≥ 0.006 is left."""
    x0 = X0_BCHW.double()

    def network(x_t: Tensor, t_B: Tensor) -> Tensor:
        alpha, sigma = (f(t_B).view(-1, 1, 1, 1) for f in (schedule.alpha, schedule.sigma))
        return prediction.target(x0, (x_t - alpha * x0) / sigma, alpha, sigma)

    loss = SIMPLE(network, x0, process=process(prediction, schedule), draws=Draws.of(2, range(6)))
    assert loss.dtype == torch.float64
    assert float(loss.max()) < 1e-24


def test_an_example_is_the_same_in_any_batch() -> None:
    """Times and noise are keyed by example: splitting and reordering the batch changes no example's loss."""
    draws = Draws.of(3, range(6), step=7)
    whole = SIMPLE(Recorder(), X0_BCHW, process=process(V()), draws=draws)
    order = [4, 0, 5]
    part = SIMPLE(Recorder(), X0_BCHW[order], process=process(V()), draws=Draws.of(3, order, step=7))
    assert torch.equal(part, whole[order])
    assert not torch.equal(whole, SIMPLE(Recorder(), X0_BCHW, process=process(V()), draws=draws.at(8)))


def test_gradients_reach_the_network() -> None:
    """d/dw of mean (w·x_t − ε)², by hand."""
    w = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    seen: list[Tensor] = []

    def network(x_t: Tensor, t_B: Tensor) -> Tensor:
        seen.append(x_t)
        return w * x_t

    draws = Draws.of(0, range(6))
    SIMPLE(network, X0_BCHW.double(), process=process(Epsilon()), draws=draws).mean().backward()
    eps = draws.normal("noise", (3, 4, 5), dtype=torch.float64)
    assert w.grad is not None
    assert float(w.grad) == pytest.approx(float((2 * (0.3 * seen[0] - eps) * seen[0]).mean()), rel=1e-12)


def test_half_precision_outputs_are_compared_in_full() -> None:
    """Under autocast the network returns bfloat16; the loss stays float32 and is not rounded on the way."""
    network = Recorder()
    draws = Draws.of(0, range(6))
    loss = SIMPLE(lambda x, t: network(x, t).bfloat16(), X0_BCHW, process=process(Epsilon()), draws=draws)
    output = network(network.x_t, network.t_B).bfloat16().float()
    eps = draws.normal("noise", (3, 4, 5))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, ((output - eps) ** 2).mean((1, 2, 3)), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("channels", "told"),
    [(1, r"gave \(6, 1, 4, 5\) for x_t of \(6, 3, 4, 5\)"), (6, "turn learn_variance off")],
)
def test_other_shapes_are_refused(channels: int, told: str) -> None:
    """One channel would broadcast; six are a learned variance, which this loss would leave untrained."""
    with pytest.raises(ValueError, match=told):
        SIMPLE(
            lambda x, t: x[:, :1].expand(-1, channels, -1, -1),
            X0_BCHW,
            process=process(Epsilon()),
            draws=Draws.of(0, range(6)),
        )


def test_the_components_build_them() -> None:
    assert {type(part().build()) for part in (SimpleObjective, LpObjective, HuberObjective)} == {Regression}


PREDICTIONS = {"epsilon": Epsilon(), "x0": X0(), "v": V()}


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_powers(prediction: str, p: float) -> None:
    """E|output − target|^p, element by element, at the drawn times and noise."""
    off, found = _errors(LpObjective(p=p).build(), prediction)
    torch.testing.assert_close(found, (off.abs() ** p).mean((1, 2, 3)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("delta", [0.01, 0.1, 10.0])
def test_pseudo_huber(delta: float) -> None:
    """As diffusers' scripts print it, 2c·(√(d² + c²) − c), which cancels to 1e-16·c/d² of itself."""
    off, found = _errors(HuberObjective(delta=delta).build(), "v")
    printed = 2 * delta * ((off**2 + delta**2).sqrt() - delta)
    torch.testing.assert_close(found, printed.mean((1, 2, 3)), rtol=1e-11, atol=0)


def test_pseudo_huber_is_square_then_straight() -> None:
    small, large = (torch.tensor([value], dtype=torch.float64) for value in (1e-9, 1e6))
    penalty = HuberObjective(delta=0.1).build().penalty
    assert float(penalty(small)) == pytest.approx(1e-18, rel=1e-12)
    assert float(penalty(large)) == pytest.approx(2 * 0.1 * 1e6, rel=1e-6)


def _errors(loss: Regression, prediction: str) -> tuple[Tensor, Tensor]:
    """output − target of each element, made up here, and the loss; float64."""
    draws, x0 = Draws.of(4, range(6)), X0_BCHW.double()
    conversion = PREDICTIONS[prediction]
    found = loss(Recorder(), x0, process=process(conversion), draws=draws)
    eps = draws.normal("noise", (3, 4, 5), dtype=torch.float64)
    times = (draws.uniform("time") * 1000).floor()
    bar = LINEAR.alpha_bar[times.long()].view(-1, 1, 1, 1)
    alpha, sigma = bar.sqrt(), (1 - bar).sqrt()
    targets = {"epsilon": eps, "x0": x0, "v": alpha * eps - sigma * x0}
    return Recorder()(alpha * x0 + sigma * eps, times) - targets[prediction], found


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_objectives; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""From network output to x₀ and ε: composition, clipping, what the network is called with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Conversion
from diffloom.process import (
    CLEAN,
    X0,
    Denoised,
    Epsilon,
    Level,
    LinearSchedule,
    Tilt,
    V,
    clipped,
    denoiser,
    perturbed,
    under,
)

SCHEDULE = LinearSchedule().build()
LEVEL = SCHEDULE.levels([600])[0]
X = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NOTHING = Condition()


def test_the_network_is_called_with_its_time_and_condition() -> None:
    calls = []

    def network(x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        calls.append((x, t, condition))
        return x

    condition = Condition(class_B=torch.arange(4))
    denoiser(network, Epsilon())(X, SCHEDULE.levels([600.25])[0], condition)
    [(x, t, given)] = calls
    assert torch.equal(x, X)
    assert given is condition
    assert torch.equal(t, torch.full((4,), 600.25, dtype=torch.float32))
    assert t.dtype == torch.float32


def test_the_network_sees_the_preconditioned_input() -> None:
    """It is shown `scale_in`·x, and its output is converted at x itself (Karras et al. 2022, eq. 7)."""

    class Halved(Epsilon):
        def scale_in(self, alpha: Tensor | float, sigma: Tensor | float) -> float:
            return 0.5

    found = denoiser(lambda x, t, condition: 2 * x, Halved())(X, LEVEL, NOTHING)
    assert torch.equal(found.eps_BCHW, X)
    torch.testing.assert_close(LEVEL.alpha * found.x0_BCHW + LEVEL.sigma * X, X, rtol=0, atol=1e-13)


@pytest.mark.parametrize("prediction", [Epsilon(), X0(), V()])
def test_a_perfect_network_gives_x0_and_eps(prediction: Conversion) -> None:
    """The network outputs the prediction's target for a known x₀ and ε."""
    x0, eps = torch.randn(2, 4, 3, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = prediction.target(x0, eps, LEVEL.alpha, LEVEL.sigma)
    x_t = LEVEL.alpha * x0 + LEVEL.sigma * eps
    found = denoiser(lambda x, t, condition: target, prediction)(x_t, LEVEL, NOTHING)
    torch.testing.assert_close(found.x0_BCHW, x0, rtol=0, atol=1e-13)
    torch.testing.assert_close(found.eps_BCHW, eps, rtol=0, atol=1e-13)
    assert found.variance_BCHW is None


def test_a_learned_variance_is_split_off() -> None:
    mean, spread = torch.randn(2, 4, 3, 5, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = denoiser(lambda x, t, c: torch.cat([mean, spread], 1), Epsilon(), learned_variance=True)(
        X, LEVEL, NOTHING
    )
    assert torch.equal(found.eps_BCHW, mean)
    assert found.variance_BCHW is not None
    assert torch.equal(found.variance_BCHW, spread)


@pytest.mark.parametrize(("learned", "channels"), [(False, 6), (False, 1), (True, 3), (True, 9)])
def test_other_shapes_are_refused(learned: bool, channels: int) -> None:
    """One channel would broadcast without a word."""
    denoise = denoiser(
        lambda x, t, c: x[:, :1].expand(-1, channels, -1, -1), Epsilon(), learned_variance=learned
    )
    with pytest.raises(ValueError, match=rf"not \(4, {channels}, 5, 6\)"):
        denoise(X, LEVEL, NOTHING)


def test_the_clean_level_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to denoise"):
        denoiser(lambda x, t, c: x, Epsilon())(X, CLEAN, NOTHING)


def test_half_precision_outputs_are_converted_in_x_s_precision() -> None:
    """Autocast returns bfloat16: x₀ is then computed from it in float32, not in bfloat16."""
    x = X.float()
    found = denoiser(lambda x, t, c: torch.tanh(x).bfloat16(), Epsilon())(x, LEVEL, NOTHING)
    eps = torch.tanh(x).bfloat16().float()
    assert found.x0_BCHW.dtype == torch.float32
    wanted = (x - LEVEL.sigma * eps) / LEVEL.alpha
    # rounded where the terms are up to 4 in size; in bfloat16 it would be 1e-2
    torch.testing.assert_close(found.x0_BCHW, wanted, rtol=0, atol=2e-6)


def fixed(x0: Tensor, x_t: Tensor, level: Level) -> Denoised:
    """A prediction with the given x₀ and the ε that belongs to it."""
    return Denoised(
        x0_BCHW=x0, eps_BCHW=(x_t - level.alpha * x0) / level.sigma, variance_BCHW=torch.ones_like(x0)
    )


@given(t=st.floats(0, 999), limit=st.floats(0.1, 5), scale=st.floats(0, 20), seed=st.integers(0, 2**32))
def test_clipping_keeps_x_t(t: float, limit: float, scale: float, seed: int) -> None:
    """After clipping x₀ is the clamped one, and alpha·x₀ + sigma·ε is x_t as before."""
    level = SCHEDULE.levels([t])[0]
    generator = torch.Generator().manual_seed(seed)
    x_t, x0 = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    found = clipped(lambda x, level: fixed(scale * x0, x, level), limit)(x_t, level)
    assert torch.equal(found.x0_BCHW, (scale * x0).clamp(-limit, limit))
    # the products alpha·x0 and sigma·eps can be 1/sigma ≤ 100 times larger than their sum
    torch.testing.assert_close(
        level.alpha * found.x0_BCHW + level.sigma * found.eps_BCHW, x_t, rtol=0, atol=1e-13
    )


def test_clipping_leaves_what_is_inside_bit_for_bit() -> None:
    x_t = X.float()
    inside = fixed(torch.tanh(x_t), x_t, LEVEL)
    found = clipped(lambda x, level: inside, 1.0)(x_t, LEVEL)
    assert torch.equal(found.x0_BCHW, inside.x0_BCHW)
    assert torch.equal(found.eps_BCHW, inside.eps_BCHW)
    assert found.variance_BCHW is inside.variance_BCHW


def test_clipping_reaches_what_a_gradient_is_left_out_of() -> None:
    """The tilt's x₀ is clamped too, as OpenAI clips before it takes a mean; its gradient stays."""

    def gradient(x: Tensor, level: Level) -> Tensor:
        return x

    tilted = fixed(3 * X, X, LEVEL).with_tilt(Tilt(2 * X, gradient))
    found = clipped(lambda x, level: tilted, 1.0)(X, LEVEL).tilt
    assert found is not None
    assert torch.equal(found.x0_BCHW, (2 * X).clamp(-1, 1))
    assert found.gradient is gradient


def test_clipping_passes_the_condition_through() -> None:
    """It also wraps a conditional denoiser."""
    seen = []

    def denoise(x: Tensor, level: Level, condition: Condition) -> Denoised:
        seen.append(condition)
        return fixed(3 * x, x, level)

    assert float(clipped(denoise, 1.0)(X, LEVEL, NOTHING).x0_BCHW.abs().max()) == 1.0
    assert seen == [NOTHING]


def test_perturbed_adds_noise_of_the_given_step() -> None:
    found = perturbed(X, 0.5, lambda index: torch.full_like(X, float(index)), 3)
    assert torch.equal(found, X + 1.5)
    each = torch.rand(4, 3, 5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.equal(perturbed(X, each, lambda index: torch.ones_like(X), 0), X + each)


def test_no_noise_is_drawn_where_the_std_is_zero() -> None:
    def noise(index: int) -> Tensor:
        raise AssertionError("noise was drawn")

    assert perturbed(X, 0.0, noise, 0) is X


def test_a_condition_is_prepared_once_when_it_becomes_known() -> None:
    prepared: list[Condition] = []

    def prepare(condition: Condition) -> Condition:
        prepared.append(condition)
        return replace(condition, memory={"layer": (X,)})

    def denoise(x: Tensor, level: Level, condition: Condition) -> Denoised:
        assert condition.memory["layer"][0] is X
        return Denoised(x, x)

    known = under(denoise, prepare)(NOTHING)
    assert len(prepared) == 1
    for _ in range(3):
        known(X, LEVEL)
    assert len(prepared) == 1

"""x₀ and ε made of what a network said. Oracles: the conversions on tensors, and float64.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.condition import Condition
from diffloom.kinds import Conversion
from diffloom.process import (
    CONVERSIONS,
    Denoised,
    Level,
    LinearSchedule,
    PosteriorMean,
    Tilt,
    denoiser,
    mixed,
    summed,
)

SCHEDULE = LinearSchedule().build()
LEVELS = SCHEDULE.levels([999, 600, 250.5, 3])[:-1]
PREDICTIONS: dict[str, Conversion] = {**CONVERSIONS, "posterior_mean": PosteriorMean(SCHEDULE)}
FLOATS = st.floats(-20, 20)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


X, OUTPUT = drawn(2, 2, 3, 4, 4)


def said(prediction: Conversion, level: Level, x: Tensor = X, output: Tensor = OUTPUT) -> Denoised:
    return denoiser(lambda seen, t, condition: output, prediction)(x, level, Condition())


def plainly(prediction: Conversion, level: Level, x: Tensor = X, output: Tensor = OUTPUT) -> Denoised:
    """As the conversion computes them."""
    return Denoised(*prediction.x0_eps(output, x, level.alpha, level.sigma))


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("name", PREDICTIONS)
def test_it_is_what_the_conversion_makes(name: str, level: Level) -> None:
    """x₀, ε and mixtures of both, to float64's rounding of terms that are up to 160 times as large (1/alpha)."""
    found, wanted = said(PREDICTIONS[name], level), plainly(PREDICTIONS[name], level)
    size = max(1.0, float(wanted.x0_BCHW.abs().max()))
    torch.testing.assert_close(found.x0_BCHW, wanted.x0_BCHW, rtol=0, atol=1e-14 * size)
    torch.testing.assert_close(found.eps_BCHW, wanted.eps_BCHW, rtol=0, atol=1e-14 * size)
    for x0, eps in ((0.7, -0.4), (0.0, 2.0), (-1.3, 0.0), (1.0, 0.0), (0.0, 1.0)):
        expected = x0 * wanted.x0_BCHW + eps * wanted.eps_BCHW
        torch.testing.assert_close(found.combined(x0=x0, eps=eps), expected, rtol=0, atol=3e-14 * size)
        torch.testing.assert_close(
            summed((*found.terms(x0=x0, eps=eps), (2.0, X))), expected + 2 * X, rtol=0, atol=3e-14 * size
        )


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_step_in_float32_is_no_worse_than_one_by_x0_and_eps(name: str) -> None:
    """Against the step in float64: the largest error, and the mean, of steps short and long from many levels."""
    x, output = X.float(), OUTPUT.float()
    times = list(range(999, 10, -60))
    errors: dict[str, list[Tensor]] = {"mixed": [], "apart": []}
    for t, share in [(t, share) for t in times for share in (0.98, 0.5, 0.0)]:
        level, end = (SCHEDULE.levels([time])[0] for time in (t, share * t))
        exact = plainly(PREDICTIONS[name], level, x.double(), output.double())
        wanted = end.alpha * exact.x0_BCHW + end.sigma * exact.eps_BCHW
        apart = plainly(PREDICTIONS[name], level, x, output)
        steps = {
            "mixed": said(PREDICTIONS[name], level, x, output).combined(x0=end.alpha, eps=end.sigma),
            "apart": end.alpha * apart.x0_BCHW + end.sigma * apart.eps_BCHW,
        }
        for way, step in steps.items():
            errors[way].append((step - wanted).abs() / wanted.abs().max())
    ours, theirs = (torch.stack(errors[way]) for way in ("mixed", "apart"))
    assert ours.mean() <= theirs.mean()
    assert ours.max() <= 1.2 * theirs.max()  # two roundings of single values may fall either way


@given(a=FLOATS, b=FLOATS, c=FLOATS)
def test_sums_are_sums(a: float, b: float, c: float) -> None:
    """Of one, two or three terms, zeros and ones among them, without writing to what they are made of."""
    x, y, z = drawn(3, 7, seed=1)
    before = [tensor.clone() for tensor in (x, y, z)]
    size = 1 + abs(a) + abs(b) + abs(c)
    torch.testing.assert_close(mixed(a, x, b, y), a * x + b * y, rtol=0, atol=1e-14 * size)
    torch.testing.assert_close(
        summed([(a, x), (b, y), (c, z), (1.0, x)]), (a + 1) * x + b * y + c * z, rtol=0, atol=1e-14 * size
    )
    for number in (0.0, 1.0):
        torch.testing.assert_close(mixed(number, x, b, y), number * x + b * y, rtol=0, atol=1e-14 * size)
        torch.testing.assert_close(mixed(a, x, number, y), a * x + number * y, rtol=0, atol=1e-14 * size)
    assert all(map(torch.equal, (x, y, z), before))


def test_a_product_has_its_tensor_s_type() -> None:
    for dtype in (torch.float32, torch.float64):
        x = drawn(3, dtype=torch.float64).to(dtype)
        assert torch.equal(mixed(0.3, x), 0.3 * x)
        assert mixed(0.3, x).dtype == dtype


@pytest.mark.parametrize("level", LEVELS[1:], ids=str)
@pytest.mark.parametrize("name", PREDICTIONS)
def test_another_x0_keeps_x_t(name: str, level: Level) -> None:
    """alpha·x₀ + sigma·ε stays, read or mixed; where x₀ is the same, so is ε bit for bit."""
    before = said(PREDICTIONS[name], level)
    after = before.with_x0(before.x0_BCHW.clamp(-0.5, 0.5), level)
    for back in (
        level.alpha * after.x0_BCHW + level.sigma * after.eps_BCHW,
        after.combined(x0=level.alpha, eps=level.sigma),
    ):
        torch.testing.assert_close(back, X, rtol=0, atol=1e-12)
    kept = before.x0_BCHW.abs() <= 0.5
    assert torch.equal(after.eps_BCHW[kept], before.eps_BCHW[kept])
    expected = 0.7 * after.x0_BCHW - 0.2 * level.sigma * after.eps_BCHW
    torch.testing.assert_close(after.combined(x0=0.7, eps=-0.2 * level.sigma), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "weight", [2.5, -6.5, torch.tensor([0.3, -4.0], dtype=torch.float64).view(2, 1, 1, 1)]
)
@pytest.mark.parametrize("name", PREDICTIONS)
def test_mixing_outputs_is_mixing_x0_and_eps(name: str, weight: Tensor | float) -> None:
    """Plain + w·(view − plain), of one view and of two; x_t stays."""
    level = LEVELS[1]
    together = said(PREDICTIONS[name], level, torch.cat([X] * 3), torch.cat([OUTPUT, X, OUTPUT.sin()]))
    plain, one, other = together.rows(3, X)
    assert plain.is_like(one)
    found = plain.led([(weight, one), (0.5, other)])
    for part in ("x0_BCHW", "eps_BCHW"):
        c, u, v = (getattr(each, part) for each in (plain, one, other))
        wanted = c + weight * (u - c) + 0.5 * (v - c)
        size = float(wanted.abs().max())  # thousands, where the output is a posterior's mean
        torch.testing.assert_close(getattr(found, part), wanted, rtol=0, atol=1e-14 * max(1.0, size))


def test_what_was_said_otherwise_is_not_alike() -> None:
    """Of another x_t, by another prediction, or given as x₀ and ε."""
    level = LEVELS[1]
    plain = said(CONVERSIONS["v"], level)
    assert plain.is_like(said(CONVERSIONS["v"], level, output=OUTPUT + 1))
    assert not plain.is_like(said(CONVERSIONS["v"], level, x=X + 1))
    assert not plain.is_like(said(CONVERSIONS["epsilon"], level))
    assert not plain.is_like(plainly(CONVERSIONS["v"], level))


def test_rows_of_what_was_given_apart() -> None:
    """x₀ and ε of a stacked batch, with its variance, part by part."""
    stacked = Denoised(torch.cat([X, OUTPUT]), torch.cat([OUTPUT, X]), torch.cat([X + 1, X + 2]))
    for found, wanted in zip(stacked.rows(2, X), ((X, OUTPUT, X + 1), (OUTPUT, X, X + 2)), strict=True):
        assert found.variance_BCHW is not None
        assert all(map(torch.equal, (found.x0_BCHW, found.eps_BCHW, found.variance_BCHW), wanted))


def test_a_tilt_is_beside_the_same_prediction() -> None:
    plain = said(CONVERSIONS["v"], LEVELS[1])
    tilt = Tilt(X, lambda x, level: x)
    tilted = plain.with_tilt(tilt)
    assert (plain.tilt, tilted.tilt) == (None, tilt)
    assert torch.equal(tilted.x0_BCHW, plain.x0_BCHW)


def test_a_gradient_passes() -> None:
    """Through x_t and through the output, as the conversion lets it."""
    x, output = X.clone().requires_grad_(), OUTPUT.clone().requires_grad_()
    found = said(CONVERSIONS["v"], LEVELS[1], x, output)
    found.combined(x0=0.3, eps=0.9).square().sum().backward()
    again, output_again = X.clone().requires_grad_(), OUTPUT.clone().requires_grad_()
    wanted = plainly(CONVERSIONS["v"], LEVELS[1], again, output_again)
    (0.3 * wanted.x0_BCHW + 0.9 * wanted.eps_BCHW).square().sum().backward()
    assert x.grad is not None
    assert output.grad is not None
    torch.testing.assert_close(x.grad, again.grad, rtol=0, atol=1e-13)
    torch.testing.assert_close(output.grad, output_again.grad, rtol=0, atol=1e-13)

"""Rescale and dynamic thresholding: the papers' formulas, and the cases that peers fail in."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.process import Denoised, Level, LinearSchedule
from diffloom.testing import check_component
from diffloom_guidance import (
    DynamicThreshold,
    DynamicThresholdCorrection,
    Rescale,
    RescaleCorrection,
)

LEVEL = LinearSchedule().build().levels([700])[0]
PURE = Level(999.0, 0.0, 1.0)
X_T, A, B = torch.randn(3, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def prediction(x0: Tensor, level: Level = LEVEL) -> Denoised:
    return Denoised(x0_BCHW=x0, eps_BCHW=(X_T - level.alpha * x0) / level.sigma)


@pytest.mark.parametrize("component", [RescaleCorrection, DynamicThresholdCorrection])
def test_it_obeys_the_laws_of_its_kind(component: type) -> None:
    assert check_component(component) == []


def seen(space: str, denoised: Denoised, level: Level) -> Tensor:
    x0, eps = denoised.x0_BCHW, denoised.eps_BCHW
    v = level.alpha * eps - level.sigma * x0
    return {"x0": x0, "epsilon": eps, "v": v, "flow": eps - x0}[space]


@pytest.mark.parametrize("space", ["x0", "epsilon", "v", "flow"])
def test_in_its_space_the_spread_is_the_plain_one_s(space: str) -> None:
    """At factor 1 (Lin et al. 2023, eq. 15), for each sample; eq. 16 lies in between."""
    guided, plain = prediction(3 * A), prediction(B)
    whole, half = (
        Rescale(factor=factor, space=space)(X_T, LEVEL, guided, plain)  # type: ignore[arg-type]
        for factor in (1.0, 0.5)
    )
    spreads = [seen(space, prediction(x0), LEVEL).flatten(1).std(1) for x0 in (whole, B)]
    torch.testing.assert_close(spreads[0], spreads[1], rtol=1e-10, atol=0)
    torch.testing.assert_close(half, (whole + guided.x0_BCHW) / 2, rtol=0, atol=1e-12)


def test_the_space_makes_a_difference() -> None:
    guided, plain = prediction(3 * A), prediction(B)
    results = [
        Rescale(factor=1.0, space=space)(X_T, LEVEL, guided, plain)  # type: ignore[arg-type]
        for space in ("x0", "epsilon", "v")
    ]
    differences = [float((one - other).abs().max()) for one, other in pairwise(results)]
    assert min(differences) > 0.1


@pytest.mark.parametrize("space", ["x0", "epsilon", "v", "flow"])
@pytest.mark.parametrize("level", [LEVEL, PURE], ids=["t 700", "no signal"])
def test_a_constant_prediction_is_left_alone(level: Level, space: str) -> None:
    """Its spread is 0, and diffusers' quotient of two of them is not a number."""
    constant = Denoised(torch.full_like(X_T, 0.3), torch.full_like(X_T, -0.2))
    found = Rescale(factor=0.7, space=space)(X_T, level, constant, constant)  # type: ignore[arg-type]
    assert torch.equal(found, constant.x0_BCHW)


@pytest.mark.parametrize("space", ["x0", "v", "flow"])
def test_without_signal_x0_is_rescaled_all_the_same(space: str) -> None:
    """There v is −x₀, and the flow x_t − x₀; only ε is beyond guidance."""
    guided, plain = prediction(3 * A, PURE), prediction(B, PURE)
    found = Rescale(factor=1.0, space=space)(X_T, PURE, guided, plain)  # type: ignore[arg-type]
    spread = seen(space, prediction(found, PURE), PURE).flatten(1).std(1)
    torch.testing.assert_close(spread, seen(space, plain, PURE).flatten(1).std(1), rtol=1e-10, atol=0)
    kept = Rescale(factor=1.0, space="epsilon")(X_T, PURE, guided, plain)
    assert torch.equal(kept, guided.x0_BCHW)


@given(
    percentile=st.floats(0.5, 100),
    limit=st.floats(0.1, 3),
    scale=st.floats(0, 20),
    seed=st.integers(0, 2**32),
)
def test_thresholding_is_imagen_s(percentile: float, limit: float, scale: float, seed: int) -> None:
    """s is the percentile of |x₀| of each sample, at least the limit; x₀ is clamped to ±s and divided by s/limit
    (Saharia et al. 2022, section 2.3), so that nothing lies beyond the limit, and what kept to it stays.
    """
    x0 = scale * torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = DynamicThreshold(percentile=percentile, limit=limit)(
        x0, LEVEL, Denoised(x0, x0), Denoised(x0, x0)
    )
    for row, mended in zip(x0, found, strict=True):
        s = max(float(torch.quantile(row.abs(), percentile / 100)), limit)
        torch.testing.assert_close(mended, row.clamp(-s, s) / s * limit, rtol=1e-9, atol=1e-12)
        assert float(mended.abs().max()) <= limit * (1 + 1e-12)
        if float(row.abs().max()) <= limit:
            torch.testing.assert_close(mended, row, rtol=1e-14, atol=0)


def test_a_picture_larger_than_torch_s_quantile_takes() -> None:
    """torch.quantile refuses more than 2²⁴ numbers."""
    x0 = torch.linspace(-2, 2, 2**24 + 2).view(1, 2, -1, 1)
    found = DynamicThreshold(percentile=50.0, limit=0.5)(x0, LEVEL, Denoised(x0, x0), Denoised(x0, x0))
    assert float(found.abs().max()) == 0.5
    assert float((found.abs() < 0.4999).float().mean()) == pytest.approx(0.5, abs=1e-3)

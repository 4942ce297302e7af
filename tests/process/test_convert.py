"""The conversion table as a product: every prediction from every other, against x₀ and ε themselves."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.kinds import Conversion
from diffloom.process import CONVERSIONS, CosineSchedule, Posterior, PosteriorMean, Preconditioned, convert

TABLE = CosineSchedule(steps=50).build()
NAMES: list[str | Conversion] = [*CONVERSIONS, PosteriorMean(TABLE), Preconditioned(sigma_data=1.3)]
LEVELS = TABLE.levels(range(50))
NUMBERS = {level.sigma: number for number, level in enumerate(LEVELS)}


def called(kind: str | Conversion) -> str:
    return kind if isinstance(kind, str) else type(kind).__name__


pixel = st.floats(-5, 5)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def closed_form(kind: str | Conversion, x0: Tensor, eps: Tensor, alpha: float, sigma: float) -> Tensor:
    """What each prediction is, from its paper, in x₀ and ε."""
    if isinstance(kind, PosteriorMean):
        number = NUMBERS[sigma]
        before = LEVELS[number - 1]  # of the cleanest, the clean level, which stands last
        return Posterior.between(LEVELS[number], before).mean(alpha * x0 + sigma * eps, x0)
    if kind == "edm" or isinstance(kind, Preconditioned):
        std = 0.5 if kind == "edm" else 1.3
        ratio, x = sigma / alpha, x0 + sigma / alpha * eps
        skip = std**2 / (ratio**2 + std**2)
        return (x0 - skip * x) * math.sqrt(ratio**2 + std**2) / (ratio * std)
    assert isinstance(kind, str)
    return {
        "epsilon": eps,
        "x0": x0,
        "v": alpha * eps - sigma * x0,
        "score": -eps / sigma,
        "flow": eps - x0,
    }[kind]


@pytest.mark.parametrize(("source", "to"), list(product(NAMES, NAMES)), ids=called)
@settings(max_examples=25)  # of each of 64 pairs
@given(t=st.integers(0, 48), x0=pixel, eps=pixel)
def test_every_prediction_from_every_other(
    source: str | Conversion, to: str | Conversion, t: int, x0: float, eps: float
) -> None:
    """At whole times of a table. Errors are float64's, times the steepest conversions there and back."""
    level = LEVELS[t]
    alpha, sigma = level.alpha, level.sigma
    value = closed_form(source, doubles(x0), doubles(eps), alpha, sigma)
    x_t = alpha * doubles(x0) + sigma * doubles(eps)
    came = convert(value, source=source, to=to, x_t=x_t, alpha=alpha, sigma=sigma)
    wanted = closed_form(to, doubles(x0), doubles(eps), alpha, sigma)
    steep = (1 + sigma / alpha) * (1 + alpha / sigma) / sigma**2
    torch.testing.assert_close(came, wanted, rtol=1e-9, atol=1e-12 * steep)


@given(
    u=st.floats(0.01, 1.5),
    value=pixel,
    x_t=pixel,
    names=st.lists(st.sampled_from(list(CONVERSIONS)), max_size=6),
)
def test_a_chain_of_conversions_leads_back(u: float, value: float, x_t: float, names: list[str]) -> None:
    """epsilon → … → epsilon, whatever lies between."""
    alpha, sigma = math.cos(u), math.sin(u)
    now, source = doubles(value), "epsilon"
    for to in (*names, "epsilon"):
        now = convert(now, source=source, to=to, x_t=doubles(x_t), alpha=alpha, sigma=sigma)
        source = to
    steep = (1 + sigma / alpha) * (1 + alpha / sigma) / sigma**2
    torch.testing.assert_close(now, doubles(value), rtol=1e-9, atol=1e-12 * steep)


def test_levels_may_be_tensors_and_off_the_table() -> None:
    """A batch of levels of any path, each row its own; gradients flow."""
    alpha, sigma = doubles(1.0, 0.3, 0.9).view(3, 1), doubles(40.0, 0.7, 0.1).view(3, 1)
    x0, eps = torch.randn(2, 3, 5, dtype=torch.float64).unbind()
    x_t = alpha * x0 + sigma * eps
    v = (alpha * eps - sigma * x0).requires_grad_()
    score = convert(v, source="v", to="score", x_t=x_t, alpha=alpha, sigma=sigma)
    torch.testing.assert_close(score, -eps / sigma, rtol=1e-9, atol=1e-12)
    (gradient,) = torch.autograd.grad(score.sum(), v)
    torch.testing.assert_close(
        gradient, (-alpha / sigma / (alpha**2 + sigma**2)).expand(3, 5), rtol=1e-9, atol=0
    )


def test_an_unknown_name_is_told() -> None:
    zero = doubles(0.0)
    with pytest.raises(ValueError, match="no prediction is called 'epsilom'; did you mean 'epsilon'"):
        convert(zero, source="epsilom", to="v", x_t=zero, alpha=0.6, sigma=0.8)
    with pytest.raises(ValueError, match=r"called 'posterior'; there are epsilon, x0, v, score, flow, edm"):
        convert(zero, source="v", to="posterior", x_t=zero, alpha=0.6, sigma=0.8)

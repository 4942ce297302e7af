"""How classifier-free guidance calls the network, and the order of guidance and clipping."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.process import Denoised, Epsilon, Level, LinearSchedule, clipped, denoiser, under
from diffloom_guidance import ClassifierFree, ClassifierFreeGuidance

LEVEL = LinearSchedule().build().levels([700])[0]
X = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def condition(*values: float) -> Condition:
    rows = torch.tensor(values, dtype=torch.float64)
    return Condition(class_B=rows.long(), tokens_BLD=rows.view(-1, 1, 1).expand(-1, 5, 2))


ASKED, NULL = condition(1, 2, 3), condition(9, 9, 9)


class Network:
    """Nonlinear in x and the condition, row by row; notes what it was called with."""

    def __init__(self, *, learns_variance: bool = False) -> None:
        self.learns_variance = learns_variance
        self.calls: list[list[int]] = []

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        assert condition.class_B is not None
        assert condition.tokens_BLD is not None
        self.calls.append(condition.class_B.tolist())
        output = torch.tanh(x * condition.tokens_BLD.mean((1, 2)).view(-1, 1, 1, 1) / 3 + 0.1)
        return torch.cat([output, output.exp()], 1) if self.learns_variance else output


@pytest.mark.parametrize(
    ("scale", "calls"),
    [(1.0, [[1, 2, 3]]), (0.0, [[9, 9, 9]]), (2.0, [[1, 2, 3, 9, 9, 9]]), (-1.0, [[1, 2, 3, 9, 9, 9]])],
)
def test_one_call_and_no_wasted_rows(scale: float, calls: list[list[int]]) -> None:
    network = Network()
    ClassifierFree(scale=scale)(under(denoiser(network, Epsilon())), ASKED, NULL)(X, LEVEL)
    assert network.calls == calls


@pytest.mark.parametrize("scale", [-1.0, 0.0, 0.5, 1.0, 4.0])
def test_one_batched_call_equals_two_calls(scale: float) -> None:
    """And the raw output guided, then converted, is the same: x₀ and ε are affine in it."""
    denoise = denoiser(Network(), Epsilon())
    c, u = denoise(X, LEVEL, ASKED), denoise(X, LEVEL, NULL)
    found = ClassifierFree(scale=scale)(under(denoise), ASKED, NULL)(X, LEVEL)
    for one, other_c, other_u in (
        (found.x0_BCHW, c.x0_BCHW, u.x0_BCHW),
        (found.eps_BCHW, c.eps_BCHW, u.eps_BCHW),
    ):
        torch.testing.assert_close(one, other_u + scale * (other_c - other_u), rtol=0, atol=1e-12)
    t = torch.full((3,), LEVEL.t)
    raw = (1 - scale) * Network()(X, t, NULL) + scale * Network()(X, t, ASKED)
    x0, eps = Epsilon().x0_eps(raw, X, LEVEL.alpha, LEVEL.sigma)
    torch.testing.assert_close(found.x0_BCHW, x0, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.eps_BCHW, eps, rtol=0, atol=1e-12)


@pytest.mark.parametrize("w", [0.5, 3.0])
def test_the_papers_own_convention_is_scale_minus_one(w: float) -> None:
    """(1 + w)·c − w·u (Ho & Salimans 2022, eq. 6)."""
    denoise = denoiser(Network(), Epsilon())
    c, u = denoise(X, LEVEL, ASKED), denoise(X, LEVEL, NULL)
    found = ClassifierFree(scale=1 + w)(under(denoise), ASKED, NULL)(X, LEVEL)
    torch.testing.assert_close(found.eps_BCHW, (1 + w) * c.eps_BCHW - w * u.eps_BCHW, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_the_guided_prediction_still_belongs_to_x_t(scale: float) -> None:
    found = ClassifierFree(scale=scale)(under(denoiser(Network(), Epsilon())), ASKED, NULL)(X, LEVEL)
    torch.testing.assert_close(
        LEVEL.alpha * found.x0_BCHW + LEVEL.sigma * found.eps_BCHW, X, rtol=0, atol=1e-13
    )
    assert found.variance_BCHW is None


@pytest.mark.parametrize(("scale", "whose"), [(3.0, ASKED), (1.0, ASKED), (0.0, NULL)])
def test_the_learned_variance_is_the_conditional_one(scale: float, whose: Condition) -> None:
    denoise = denoiser(Network(learns_variance=True), Epsilon(), learned_variance=True)
    found = ClassifierFree(scale=scale)(under(denoise), ASKED, NULL)(X, LEVEL)
    expected = denoise(X, LEVEL, whose).variance_BCHW
    assert found.variance_BCHW is not None
    assert expected is not None
    torch.testing.assert_close(found.variance_BCHW, expected, rtol=0, atol=1e-13)


def test_clipping_comes_after_guidance() -> None:
    """The originals clip the guided x₀; to guide clipped predictions gives other pictures, beyond the limit too."""
    plain = denoiser(Network(), Epsilon())
    guide = ClassifierFree(scale=4.0)

    def guided(
        denoise: Callable[[Tensor, Level, Condition], Denoised],
    ) -> Callable[[Tensor, Level], Denoised]:
        return guide(under(denoise), ASKED, NULL)

    right = clipped(guided(plain), 1.0)(X, LEVEL).x0_BCHW
    wrong = guided(clipped(plain, 1.0))(X, LEVEL).x0_BCHW
    assert torch.equal(right, guided(plain)(X, LEVEL).x0_BCHW.clamp(-1, 1))
    assert float((right - wrong).abs().max()) > 0.5


def test_rows_are_guided_independently() -> None:
    """Row 1 alone is row 1 of the batch."""
    denoise = denoiser(Network(), Epsilon())
    whole = ClassifierFree(scale=2.5)(under(denoise), ASKED, NULL)(X, LEVEL)
    alone = ClassifierFree(scale=2.5)(under(denoise), condition(2), condition(9))(X[1:2], LEVEL)
    torch.testing.assert_close(alone.x0_BCHW, whole.x0_BCHW[1:2], rtol=0, atol=1e-12)


def test_the_component_builds_it() -> None:
    guide = ClassifierFreeGuidance(scale=2.0).build()
    assert type(guide) is ClassifierFree
    assert guide.scale == 2.0


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_guidance; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

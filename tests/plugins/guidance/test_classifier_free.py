"""What classifier-free guidance computes, and how it calls the network. Oracle: the formulas written out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffloom.condition import Condition
from diffloom.process import Denoised, Epsilon, Level, LinearSchedule, Strength, V, clipped, denoiser
from diffloom_guidance import ClassifierFree, ClassifierFreeGuidance

Steer = Callable[..., Callable[[Tensor, Level], Denoised]]
LEVEL = LinearSchedule().build().levels([700])[0]
X = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def guide(scale: float | tuple[float, ...]) -> ClassifierFree:
    return ClassifierFree(strength=Strength(scale))


@pytest.mark.parametrize(
    ("scale", "calls"),
    [
        (1.0, [[1, 2, 3]]),
        (0.0, [[1, 2, 3, 9, 9, 9]]),
        (2.0, [[1, 2, 3, 9, 9, 9]]),
        ((1.0, 1.0, 1.0), [[1, 2, 3]]),
    ],
)
def test_one_call_and_none_for_nothing(
    *, scale: float, calls: list[list[int]], network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    net = network()
    steered(guide(scale), denoiser(net, Epsilon()), asked, null)(X, LEVEL)
    assert net.calls == calls


@pytest.mark.parametrize("scale", [-1.0, 0.0, 0.5, 1.0, 4.0])
def test_one_batched_call_equals_two_calls(
    scale: float, network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    """And the raw output guided, then converted, is the same: x₀ and ε are affine in it."""
    denoise = denoiser(network(), Epsilon())
    c, u = denoise(X, LEVEL, asked), denoise(X, LEVEL, null)
    found = steered(guide(scale), denoise, asked, null)(X, LEVEL)
    for one, other_c, other_u in (
        (found.x0_BCHW, c.x0_BCHW, u.x0_BCHW),
        (found.eps_BCHW, c.eps_BCHW, u.eps_BCHW),
    ):
        torch.testing.assert_close(one, other_u + scale * (other_c - other_u), rtol=0, atol=1e-12)
    t = torch.full((3,), LEVEL.t)
    raw = (1 - scale) * network()(X, t, null) + scale * network()(X, t, asked)
    x0, eps = Epsilon().x0_eps(raw, X, LEVEL.alpha, LEVEL.sigma)
    torch.testing.assert_close(found.x0_BCHW, x0, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.eps_BCHW, eps, rtol=0, atol=1e-12)


@pytest.mark.parametrize("w", [0.5, 3.0])
def test_the_papers_own_convention_is_scale_minus_one(
    w: float, network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    """(1 + w)·c − w·u (Ho & Salimans 2022, eq. 6)."""
    denoise = denoiser(network(), Epsilon())
    c, u = denoise(X, LEVEL, asked), denoise(X, LEVEL, null)
    found = steered(guide(1 + w), denoise, asked, null)(X, LEVEL)
    torch.testing.assert_close(found.eps_BCHW, (1 + w) * c.eps_BCHW - w * u.eps_BCHW, rtol=0, atol=1e-12)


def test_each_sample_has_its_scale(network: type, steered: Steer, asked: Condition, null: Condition) -> None:
    """Row 0 of scale 1 is the plain prediction, row 1 of scale 0 the unconditional one."""
    denoise = denoiser(network(), Epsilon())
    c, u = denoise(X, LEVEL, asked).x0_BCHW, denoise(X, LEVEL, null).x0_BCHW
    found = steered(guide((1.0, 0.0, 2.5)), denoise, asked, null)(X, LEVEL).x0_BCHW
    wanted = torch.stack([c[0], u[1], u[2] + 2.5 * (c[2] - u[2])])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_further_conditions_add_their_weighted_differences(
    *,
    scale: float,
    network: type,
    steered: Steer,
    asked: Condition,
    null: Condition,
    rows: Callable[..., Condition],
) -> None:
    """u + scale·(c − u) + Σ w_i·(c_i − u) (Liu et al. 2022, algorithm 1), in one call."""
    net = network()
    denoise = denoiser(net, Epsilon())
    more, less = rows(4, 5, 6), rows(7, 8, 7)
    found = steered(guide(scale), denoise, asked, null, others=[(0.5, more), (-0.2, less)])(X, LEVEL)
    assert net.calls == [[1, 2, 3, 9, 9, 9, 4, 5, 6, 7, 8, 7]]
    c, u, m, n = (denoise(X, LEVEL, each).eps_BCHW for each in (asked, null, more, less))
    wanted = u + scale * (c - u) + 0.5 * (m - u) - 0.2 * (n - u)
    torch.testing.assert_close(found.eps_BCHW, wanted, rtol=0, atol=1e-12)


def test_it_holds_where_no_signal_is_left(
    network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    """A schedule with zero terminal SNR: x₀ is guided, and ε is what x_t is."""
    pure = Level(999.0, 0.0, 1.0)
    denoise = denoiser(network(), V())
    c, u = denoise(X, pure, asked).x0_BCHW, denoise(X, pure, null).x0_BCHW
    found = steered(guide(3.0), denoise, asked, null)(X, pure)
    torch.testing.assert_close(found.x0_BCHW, u + 3 * (c - u), rtol=0, atol=1e-12)
    assert torch.equal(found.eps_BCHW, X)


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.0])
def test_the_learned_variance_is_the_conditional_one(
    scale: float, network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    denoise = denoiser(network(learns_variance=True), Epsilon(), learned_variance=True)
    found = steered(guide(scale), denoise, asked, null)(X, LEVEL)
    expected = denoise(X, LEVEL, asked).variance_BCHW
    assert found.variance_BCHW is not None
    assert expected is not None
    torch.testing.assert_close(found.variance_BCHW, expected, rtol=0, atol=1e-13)


def test_clipping_comes_after_guidance(
    network: type, steered: Steer, asked: Condition, null: Condition
) -> None:
    """The originals clip the guided x₀; to guide clipped predictions gives other pictures, beyond the limit too."""
    plain = denoiser(network(), Epsilon())
    right = clipped(steered(guide(4.0), plain, asked, null), 1.0)(X, LEVEL).x0_BCHW
    wrong = steered(guide(4.0), clipped(plain, 1.0), asked, null)(X, LEVEL).x0_BCHW
    guided = steered(guide(4.0), plain, asked, null)(X, LEVEL).x0_BCHW
    assert torch.equal(right, guided.clamp(-1, 1))
    assert float((right - wrong).abs().max()) > 0.5


def test_the_component_builds_it() -> None:
    built = ClassifierFreeGuidance(scale=2.0, interval=(0.5, None), profile="linear").build()
    assert type(built) is ClassifierFree
    assert built.strength == Strength(scale=2.0, interval=(0.5, None), profile="linear")


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_guidance; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The mathematics of acme-moon's parts. Oracles: matrices, closed forms, the exact solution of a linear ODE.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from diffloom.kinds import ImageInfo, Setting, SpaceInfo
from diffloom.process import CLEAN, Denoised, Level
from diffloom.testing.course import walked


@pytest.fixture(scope="module")
def moon() -> Iterator[Any]:
    """The package from its sources, gone again afterwards: other tests install packages of this name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "acme-moon" / "src"))
        yield importlib.import_module("acme_moon")
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_moon"]:
        del sys.modules[name]


def test_haar_is_the_orthonormal_matrix(moon: Any) -> None:
    """Each band is the product with one row of H₂ ⊗ H₂, whose rows have length 1."""
    x_BCHW = torch.randn(2, 3, 6, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y_BKhw = moon.Haar().build(image=None).encode(x_BCHW)
    h2 = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2)
    rows = torch.kron(h2, h2)
    assert torch.allclose(rows @ rows.T, torch.eye(4, dtype=torch.float64), atol=1e-15)
    blocks = x_BCHW.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)  # (B, C, h, w, 4 pixels of a block)
    wanted = torch.einsum("kp,bchwp->bkchw", rows, blocks).flatten(1, 2)
    assert torch.allclose(y_BKhw, wanted, atol=1e-14)
    assert y_BKhw.norm().item() == pytest.approx(x_BCHW.norm().item(), rel=1e-14)


def test_haar_inverts_exactly(moon: Any) -> None:
    """On eighths, as 8-bit pictures and the digits have, sums and halves are exact in float32."""
    space = moon.Haar().build(image=None)
    x_BCHW = torch.randint(-8, 9, (4, 3, 8, 12), generator=torch.Generator().manual_seed(0)) / 8
    assert torch.equal(space.decode(space.encode(x_BCHW)), x_BCHW)
    flat = space.encode(torch.full((1, 1, 2, 2), 0.5))
    assert flat.flatten().tolist() == [1.0, 0.0, 0.0, 0.0], (
        "the mean band of a flat picture is twice its value"
    )


def test_sigmoid_is_its_closed_form(moon: Any) -> None:
    schedule = moon.Sigmoid(steps=50).build()
    for i in (0, 10, 24, 40, 48):
        t = (i + 1) / 50
        ends = [1 / (1 + math.exp(3)), 1 / (1 + math.exp(-3))]
        wanted = (ends[1] - 1 / (1 + math.exp(3 - 6 * t))) / (ends[1] - ends[0])
        assert schedule.alpha_bar[i].item() == pytest.approx(wanted, rel=1e-13)
    assert schedule.alpha_bar[24].item() == pytest.approx(0.5, rel=1e-13), "the sigmoid's point of symmetry"
    assert schedule.alpha_bar[49].item() == 1e-9


def test_a_phase_is_a_circle(moon: Any) -> None:
    """Its encoding closes: the distance of two phases depends on the angle between them alone."""
    setting = Setting(image=ImageInfo(8, 8, 1), space=SpaceInfo(1, 8, 8))
    encoder = moon.Phase(period=10, harmonics=3).build(setting=setting, codec=None).double()
    vectors = encoder.encode([0.0, 2.5, 5.0, 7.5, 9.999999]).vector_BD
    assert torch.allclose(vectors[0, :3], torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(vectors[1, :3], torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64), atol=1e-6)
    steps = (vectors[1:4] - vectors[:3]).norm(dim=1)
    assert torch.allclose(steps, steps[:1].expand(3), atol=1e-6)
    assert torch.allclose(vectors[0], vectors[4], atol=1e-5)


def _error(walk: Any, count: int) -> float:
    """At the last noisy level, against the exact solution for data N(0, s²): x scales as sqrt(alpha²s² + sigma²)."""
    s = 0.5
    snr = [-8 + 14 * i / count for i in range(count + 1)]
    levels = [
        Level(float(count - i), math.sqrt(1 / (1 + math.exp(-v))), math.sqrt(1 / (1 + math.exp(v))))
        for i, v in enumerate(snr)
    ]

    def scale(level: Level) -> float:
        return math.sqrt(level.alpha**2 * s**2 + level.sigma**2)

    def denoise(x: torch.Tensor, level: Level) -> Denoised:
        x0 = level.alpha * s**2 / scale(level) ** 2 * x
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    steps = walked(walk, x, (*levels, CLEAN), denoise)
    return abs(steps[-1].x_t_BCHW.item() - scale(levels[-1]) / scale(levels[0]))


def test_dpmpp_2m_is_of_second_order(moon: Any) -> None:
    """Halving the step quarters the error: an observed order of 2 ± 0.1, where a first-order solver shows 1."""
    walk = moon.DPMSolverPlusPlus2M().build()
    errors = [_error(walk, count) for count in (80, 160, 320, 640)]
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert orders[-1] == pytest.approx(2.0, abs=0.1), (errors, orders)


def test_dpmpp_2m_matches_diffusers(moon: Any) -> None:
    """Ten steps on the DDPM table against DPMSolverMultistepScheduler, the network being a sine; 1e-5 relative."""
    diffusers = pytest.importorskip("diffusers")
    peer = diffusers.DPMSolverMultistepScheduler(
        beta_start=1e-4, beta_end=2e-2, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
    )
    peer.set_timesteps(10)
    x = theirs = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in peer.timesteps:
        theirs = peer.step(torch.sin(3 * theirs), t, theirs).prev_sample
    levels = []
    for t in peer.timesteps.tolist():
        alpha_bar = peer.alphas_cumprod[t].double().item()
        levels.append(Level(float(t), math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)))

    def denoise(x: torch.Tensor, level: Level) -> Denoised:
        eps = torch.sin(3 * x)
        return Denoised(x0_BCHW=(x - level.sigma * eps) / level.alpha, eps_BCHW=eps)

    ours = walked(moon.DPMSolverPlusPlus2M().build(), x, (*levels, CLEAN), denoise)
    assert torch.allclose(
        ours[-1].following_BCHW, theirs.double(), rtol=1e-5, atol=1e-5 * theirs.abs().max().item()
    )

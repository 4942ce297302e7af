"""Steps against k-diffusion's formulas for its three SDE samplers, in float64, with the same noise, to 1e-10.

Written from its `sampling.py` in its own terms: exploding variance, sigma, t = −log sigma; its x is our x/alpha. The
levels are variance-preserving here, on a Karras grid and on an uneven one, so that our general coefficients are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.process import CLEAN, Level
from diffloom.testing.closed_forms import preserving_at
from diffloom.testing.course import walked
from diffloom_sde import DPMpp2MSDE, DPMpp3MSDE, DPMppSDE

KARRAS = [(14.6 ** (1 / 7) + i / 11 * (0.03 ** (1 / 7) - 14.6 ** (1 / 7))) ** 7 for i in range(12)]
UNEVEN = [60.0, 9.0, 8.0, 2.5, 1.7, 0.4, 0.1, 0.08, 0.01]
grids = pytest.mark.parametrize("sigmas", [KARRAS, UNEVEN], ids=["karras", "uneven"])
strengths = pytest.mark.parametrize(("eta", "s_noise"), [(1.0, 1.0), (0.4, 1.0), (1.0, 1.007), (0.0, 1.0)])
Model = Callable[[Tensor, float], Tensor]


def ancestral(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """`get_ancestral_step`: the sigma to step down to, and that of the noise to step up again."""
    up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return math.sqrt(sigma_next**2 - up**2), up


def dpmpp_sde(
    model: Model, x: Tensor, sigmas: Sequence[float], noise: Any, *, eta: float, s_noise: float, r: float
) -> list[Tensor]:
    """`sample_dpmpp_sde`."""
    trajectory = []
    for i, sigma in enumerate(sigmas):
        denoised = model(x, sigma)
        if i == len(sigmas) - 1:
            trajectory.append(denoised)
            continue
        following = sigmas[i + 1]
        middle = sigma ** (1 - r) * following**r
        down, up = ancestral(sigma, middle, eta)
        x_2 = down / sigma * x + (1 - down / sigma) * denoised + s_noise * up * noise(("look", i))
        mixed = (1 - 1 / (2 * r)) * denoised + 1 / (2 * r) * model(x_2, middle)
        down, up = ancestral(sigma, following, eta)
        x = down / sigma * x + (1 - down / sigma) * mixed + s_noise * up * noise(("path", i))
        trajectory.append(x)
    return trajectory


def multistep(
    model: Model, x: Tensor, sigmas: Sequence[float], noise: Any, *, kind: str, eta: float, s_noise: float
) -> list[Tensor]:
    """`sample_dpmpp_2m_sde` with solver_type `midpoint` or `heun`, `sample_dpmpp_3m_sde` with `third`."""
    trajectory: list[Tensor] = []
    past: list[tuple[Tensor, float]] = []  # x₀ and the step that followed it, the newest first
    for i, sigma in enumerate(sigmas):
        denoised = model(x, sigma)
        if i == len(sigmas) - 1:
            return [*trajectory, denoised]
        h = math.log(sigma / sigmas[i + 1])
        whole = h * (1 + eta)
        x = sigmas[i + 1] / sigma * math.exp(-h * eta) * x - math.expm1(-whole) * denoised
        phi_2 = math.expm1(-whole) / whole + 1
        phi_3 = phi_2 / whole - 0.5
        if past:
            d1_0 = (denoised - past[0][0]) * h / past[0][1]
            if kind == "midpoint":
                x = x - 0.5 * math.expm1(-whole) * d1_0
            elif kind == "heun" or len(past) == 1:
                x = x + phi_2 * d1_0
            else:
                r0, r1 = past[0][1] / h, past[1][1] / h
                d1_1 = (past[0][0] - past[1][0]) / r1
                d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
                x = x + phi_2 * d1 - phi_3 * (d1_0 - d1_1) / (r0 + r1)
        x = x + noise(("path", i)) * s_noise * sigmas[i + 1] * math.sqrt(-math.expm1(-2 * h * eta))
        trajectory.append(x)
        past = [(denoised, h), *past][:2]
    raise AssertionError("the last sigma is followed by 0")


def levels_of(sigmas: Sequence[float]) -> list[Level]:
    return [*(preserving_at(-2 * math.log(sigma)) for sigma in sigmas), CLEAN]


def error(
    beside: Any, walk: Any, theirs: Callable[..., list[Tensor]], sigmas: list[float], **options: Any
) -> float:
    """The largest relative difference of any step's end."""
    levels, denoise = levels_of(sigmas), beside.denoise("v_prediction")
    x = beside.normal("start")
    ours = walked(walk, x, levels, denoise, noise=beside.noise(levels))

    def model(x: Tensor, sigma: float) -> Tensor:
        (level, _) = levels_of([sigma])
        return denoise(level.alpha * x, level).x0_BCHW  # type: ignore[no-any-return]

    trajectory = theirs(model, x / levels[0].alpha, sigmas, beside.normal, **options)
    return max(
        float((step.following_BCHW / step.next_level.alpha - y).abs().max() / y.abs().max())
        for step, y in zip(ours, trajectory, strict=True)
    )


@grids
@strengths
@pytest.mark.parametrize("r", [0.5, 1.0, 0.3])
def test_dpmpp_sde(beside: Any, *, sigmas: list[float], eta: float, s_noise: float, r: float) -> None:
    walk = DPMppSDE(eta=eta, s_noise=s_noise, r=r)
    if r == 1:  # both of its stretches are one, and so is the path's increment over them
        beside.normal = lambda name, draw=beside.normal: draw(
            ("path", name[1]) if name[0] == "look" else name
        )
    assert error(beside, walk, dpmpp_sde, sigmas, eta=eta, s_noise=s_noise, r=r) < 1e-10


@grids
@strengths
@pytest.mark.parametrize("kind", ["midpoint", "heun", "third"])
def test_multistep(beside: Any, *, sigmas: list[float], eta: float, s_noise: float, kind: str) -> None:
    strength = {"eta": eta, "s_noise": s_noise}
    walk = (
        DPMpp3MSDE(**strength, solver_type="published")
        if kind == "third"
        else DPMpp2MSDE(**strength, solver_type=kind)
    )
    assert error(beside, walk, multistep, sigmas, kind=kind, **strength) < 1e-10


@torch.no_grad()
def test_an_eta_beyond_1_renews_faster(beside: Any) -> None:
    """Where k-diffusion allows any eta, so do we: its 2M formula holds at 1.5."""
    walk = DPMpp2MSDE(eta=1.5)
    assert error(beside, walk, multistep, KARRAS, kind="midpoint", eta=1.5, s_noise=1.0) < 1e-10

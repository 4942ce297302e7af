"""Formulas of k-diffusion and of the papers, written out here in their own terms, with a nonlinear denoiser.

k-diffusion works where alpha = 1. Ours walks preserved variance too: the same x/alpha at the same sigma/alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from scipy import integrate
from torch import Tensor

from diffloom.kinds import Walk
from diffloom.process import CLEAN, Denoised, Level
from diffloom.testing.closed_forms import exploding_at, preserving_at
from diffloom.testing.course import walked
from diffloom_multistep import DEIS, IPNDM, LMS, PLMS, DPMpp2M, DPMpp3M, UniPC

SIGMAS = [14.6, 9.1, 5.5, 3.2, 1.75, 0.91, 0.45, 0.2, 0.08, 0.029]
X = torch.linspace(-2, 2, 24, dtype=torch.float64).view(2, 3, 2, 2)


def denoised(x: Tensor, sigma: float) -> Tensor:
    """D(x; sigma), some function of x/alpha and sigma/alpha."""
    return torch.tanh(x / math.sqrt(1 + sigma**2) + 0.3 * x.roll(1, 1) / (1 + sigma)) + 0.1 * math.log(sigma)


def ours(walk: Walk, sigmas: Sequence[float], *, preserving: bool, clean: bool) -> Tensor:
    """x/alpha at the end."""
    at = preserving_at if preserving else exploding_at
    levels = [at(-2 * math.log(sigma)) for sigma in sigmas]

    def denoise(x: Tensor, level: Level) -> Denoised:
        x0 = denoised(x / level.alpha, level.ratio)
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)

    start = levels[0].alpha * sigmas[0] * X
    end = walked(walk, start, [*levels, CLEAN] if clean else levels, denoise, at=at)[-1]
    return end.following_BCHW / end.next_level.alpha


def sample_lms(sigmas: Sequence[float], order: int) -> Tensor:
    """Linear multistep over sigma, its coefficients by quadrature."""
    x, slopes = sigmas[0] * X, []
    for i in range(len(sigmas) - 1):
        slopes.insert(0, (x - denoised(x, sigmas[i])) / sigmas[i])
        count = min(order, i + 1)
        for j in range(count):

            def basis(tau: float, i: int = i, j: int = j, count: int = count) -> float:
                others = [k for k in range(count) if k != j]
                return math.prod((tau - sigmas[i - k]) / (sigmas[i - j] - sigmas[i - k]) for k in others)

            coefficient = integrate.quad(basis, sigmas[i], sigmas[i + 1], epsabs=1e-13, epsrel=1e-13)[0]
            x = x + coefficient * slopes[j]
    return x


def sample_dpmpp_2m(sigmas: Sequence[float]) -> Tensor:
    """Katherine Crowson's form, over t = −log sigma."""
    x, old = sigmas[0] * X, None
    for i in range(len(sigmas) - 1):
        d = denoised(x, sigmas[i])
        if sigmas[i + 1] == 0:
            return d
        t, t_next = -math.log(sigmas[i]), -math.log(sigmas[i + 1])
        h, mean = t_next - t, d
        if old is not None:
            r = (t + math.log(sigmas[i - 1])) / h
            mean = (1 + 1 / (2 * r)) * d - old / (2 * r)
        x = sigmas[i + 1] / sigmas[i] * x - math.expm1(-h) * mean
        old = d
    return x


def sample_dpmpp_3m(sigmas: Sequence[float]) -> Tensor:
    """`sample_dpmpp_3m_sde` at η = 0."""
    x, d1, d2, h1, h2 = sigmas[0] * X, None, None, 0.0, 0.0
    for i in range(len(sigmas) - 1):
        d = denoised(x, sigmas[i])
        if sigmas[i + 1] == 0:
            return d
        h = math.log(sigmas[i] / sigmas[i + 1])
        x = math.exp(-h) * x - math.expm1(-h) * d
        phi2 = math.expm1(-h) / h + 1
        if d2 is not None:
            r0, r1 = h1 / h, h2 / h
            first, second = (d - d1) / r0, (d1 - d2) / r1
            slope = first + (first - second) * r0 / (r0 + r1)
            bend = (first - second) / (r0 + r1)
            x = x + phi2 * slope - (phi2 / h - 0.5) * bend
        elif d1 is not None:
            x = x + phi2 * (d - d1) / (h1 / h)
        d2, d1, h2, h1 = d1, d, h1, h
    return x


both = pytest.mark.parametrize("preserving", [False, True], ids=["exploding", "preserving"])
ends = pytest.mark.parametrize("clean", [False, True], ids=["noisy end", "clean end"])


def close(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@both
@ends
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_lms(order: int, preserving: bool, clean: bool) -> None:
    """Full order into the clean level, where sigma is 0 as any other number."""
    theirs = sample_lms([*SIGMAS, 0.0] if clean else SIGMAS, order)
    close(ours(LMS(order=order), SIGMAS, preserving=preserving, clean=clean), theirs)


@both
@ends
def test_dpmpp_2m(preserving: bool, clean: bool) -> None:
    theirs = sample_dpmpp_2m([*SIGMAS, 0.0] if clean else SIGMAS)
    close(
        ours(DPMpp2M(lower_order_final=False), SIGMAS, preserving=preserving, clean=clean),
        theirs,
    )


class BegunExactly(DPMpp3M):
    """As published, but for the second step, whose line k-diffusion integrates and the authors read at half."""

    def correction(self, known: list[float], following: Level) -> tuple[float, ...]:
        walk = DPMpp2M(solver_type="heun") if len(known) == 2 else DPMpp3M(solver_type="published")
        return walk.correction(known, following)


@both
def test_dpmpp_3m(preserving: bool) -> None:
    walk = BegunExactly(lower_order_final=False)
    close(ours(walk, SIGMAS, preserving=preserving, clean=True), sample_dpmpp_3m([*SIGMAS, 0.0]))


@both
def test_deis_in_a_time_that_is_log_rho(preserving: bool) -> None:
    """Both test schedules' time is linear in log(sigma/alpha): one polynomial."""
    in_time = ours(DEIS(order=4, variable="time"), SIGMAS, preserving=preserving, clean=True)
    close(in_time, ours(DEIS(order=4), SIGMAS, preserving=preserving, clean=True))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_deis_in_a_time_that_is_rho_is_lms(order: int) -> None:
    """Zhang & Chen 2022: ρAB-DEIS. Up to the clean level, where DEIS is of first order."""

    def at(log_snr: float) -> Level:
        sigma = math.exp(-log_snr / 2)
        return Level(sigma, 1.0, sigma)

    def denoise(x: Tensor, level: Level) -> Denoised:
        x0 = denoised(x, level.sigma)
        return Denoised(x0_BCHW=x0, eps_BCHW=(x - x0) / level.sigma)

    levels = [at(-2 * math.log(sigma)) for sigma in SIGMAS]
    deis = DEIS(order=order, variable="time", lower_order_final=False)
    mine, lms = (walked(walk, SIGMAS[0] * X, levels, denoise, at=at)[-1] for walk in (deis, LMS(order=order)))
    close(mine.following_BCHW, lms.following_BCHW)


@pytest.mark.parametrize(
    "walk",
    [
        LMS(order=1),
        IPNDM(order=1),
        DEIS(order=1),
        DEIS(order=1, variable="time"),
    ],
    ids=["lms", "ipndm", "deis", "deis in time"],
)
@both
def test_order_one_is_euler(walk: Walk, preserving: bool) -> None:
    """In sigma, which is DDIM."""
    x = SIGMAS[0] * X
    for sigma, following in zip(SIGMAS, [*SIGMAS[1:], 0.0], strict=True):
        x = x + (following - sigma) * (x - denoised(x, sigma)) / sigma
    close(ours(walk, SIGMAS, preserving=preserving, clean=True), x)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_even_sigmas_are_adams_bashforth(order: int) -> None:
    """Where sigma falls evenly, LMS has the textbook's weights, which IPNDM has everywhere."""
    even = [5.0 - 0.5 * i for i in range(10)]
    lms = ours(LMS(order=order), even, preserving=False, clean=False)
    close(ours(IPNDM(order=order), even, preserving=False, clean=False), lms)


def test_plms_first_step_is_improved_euler() -> None:
    """And its later ones are Adams-Bashforth's with what the first call said: Liu et al. 2022, latent-diffusion."""
    a, b, c = SIGMAS[:3]
    x = a * X
    slope = (x - denoised(x, a)) / a
    guess = x + (b - a) * slope
    there = (guess - denoised(guess, b)) / b
    second = x + (b - a) * (slope + there) / 2
    close(ours(PLMS(), [a, b], preserving=True, clean=False), second)
    third = second + (c - b) * (3 * (second - denoised(second, b)) / b - slope) / 2
    close(ours(PLMS(), [a, b, c], preserving=True, clean=False), third)


def test_unipc_of_order_one_is_a_trapezoid_from_its_second_step_on() -> None:
    """Zhao et al. 2023, with B(h) = e^h − 1: the step before is taken again with the mean of both x₀."""
    a, b, c = SIGMAS[:3]
    here = denoised(a * X, a)
    guess = b / a * (a * X) + (1 - b / a) * here
    there = denoised(guess, b)
    corrected = b / a * (a * X) + (1 - b / a) * (here + there) / 2
    end = c / b * corrected + (1 - c / b) * there
    close(ours(UniPC(order=1), [a, b, c], preserving=True, clean=False), end)

"""The probability flow in an adaptive solver's hands. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

from diffloom.errors import DiffloomError
from diffloom.process import Course, Denoised, Level, Step


class ODE:
    """Black-box integration of the probability flow (Song et al. 2021, section 4.3 and appendix D.4).

    In the angle θ = atan(sigma/alpha), with y = x/√(alpha² + sigma²) = cos θ·x₀ + sin θ·ε, the flow is

        dy/dθ = cos θ·ε − sin θ·x₀                              (Salimans & Ho 2022, appendix D)

    for every schedule, and bounded from pure noise, θ = π/2, to where it is clean. It leads from the first level to the
    last noisy one, whose prediction is the sample; the levels between are not visited. Each sample is integrated by
    itself, so that it has the steps that it needs, whatever it shares a batch with. The walk is a single `Step`.

    A network is shown its times in float32: to the solver its answers are a staircase, and tolerances finer than the
    stairs, below about 1e-7, let it take ever shorter steps.
    """

    def __init__(
        self, *, method: str = "dopri5", rtol: float = 1e-5, atol: float = 1e-5, max_calls: int = 2000
    ) -> None:
        """`method` is one of torchdiffeq's adaptive ones; tolerances are of y, pixel by pixel, in each step."""
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.max_calls = max_calls

    def __call__(self, x_BCHW: Tensor, course: Course) -> Iterator[Step]:
        """Walk x_BCHW down, one sample after another.

        Raises DiffloomError for a sample that is not there after `max_calls` calls of the network.
        """
        levels = course.levels
        end = levels[-2] if levels[-1].is_clean else levels[-1]
        said, arrived = [], []
        for row in range(len(x_BCHW)):
            x_1CHW, denoise = x_BCHW[row : row + 1], self._counted(course.alone(row))
            said.append(denoise(x_1CHW, levels[0]).x0_BCHW)
            if end is not levels[0]:
                x_1CHW = self._flow(x_1CHW, Path(levels[0], end, course.at), denoise)
            arrived.append(denoise(x_1CHW, end).x0_BCHW if levels[-1].is_clean else x_1CHW)
        yield Step(
            index=0,
            level=levels[0],
            next_level=levels[-1],
            x_t_BCHW=x_BCHW,
            x0_BCHW=torch.cat(said),
            following_BCHW=torch.cat(arrived),
        )

    def _counted(self, denoise: Callable[[Tensor, Level], Denoised]) -> Callable[[Tensor, Level], Denoised]:
        """`denoise` for one sample, which may ask so often and no more."""
        calls = itertools.count(1)

        def denoise_counted(x_1CHW: Tensor, level: Level) -> Denoised:
            if next(calls) > self.max_calls:
                raise DiffloomError(
                    f"ode: a sample is not drawn after {self.max_calls} calls of the network, by rtol {self.rtol:g} "
                    f"and atol {self.atol:g}, at time {level.t:g}; raise rtol and atol (float32 honours no less "
                    "than about 1e-7), or max_calls"
                )
            return denoise(x_1CHW, level)

        return denoise_counted

    def _flow(self, x_1CHW: Tensor, path: Path, denoise: Callable[[Tensor, Level], Denoised]) -> Tensor:
        """x at the end of the path."""

        def slope(theta: Tensor, y_1CHW: Tensor) -> Tensor:
            level = path.level(theta.item())
            denoised = denoise(_length(level) * y_1CHW, level)
            alpha, sigma = level.alpha / _length(level), level.sigma / _length(level)
            return denoised.combined(x0=-sigma, eps=alpha)

        theta = torch.tensor(
            [_angle(path.start), _angle(path.end)], dtype=torch.float64, device=x_1CHW.device
        )
        y = x_1CHW / _length(path.start)
        exactly = {"step_t": theta[1:]}  # or it would step past the end and interpolate
        ys: Tensor = odeint(
            slope, y, theta, rtol=self.rtol, atol=self.atol, method=self.method, options=exactly
        )
        return _length(path.end) * ys[-1]


@dataclass(frozen=True)
class Path:
    """The levels of all angles between two."""

    start: Level
    end: Level
    at: Callable[[float], Level]

    def level(self, theta: float) -> Level:
        """The level of an angle; at both ends the very levels, of which `at` may not know the first."""
        for known in (self.start, self.end):
            if theta == _angle(known):
                return known
        return self.at(-2 * math.log(math.tan(theta)))


def _angle(level: Level) -> float:
    return math.atan2(level.sigma, level.alpha)


def _length(level: Level) -> float:
    return math.hypot(level.alpha, level.sigma)

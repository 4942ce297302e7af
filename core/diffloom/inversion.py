"""From a picture to the noise that a deterministic walk draws it from. Legend: B batch, C channels, H height, W width.

Euler's step (DDIM's) from level t to the cleaner s takes x_t to x_s = alpha_s·x₀ + sigma_s·ε. Solved for x_t it is

    x_t = (alpha_t/alpha_s)·x_s + (sigma_t − sigma_s·alpha_t/alpha_s)·ε(x_t, t)

with x_t on both sides. ε at x_s in place of x_t is the usual inversion, off by what a step changes. The fixed point of
the right-hand side is the x_t from which the step comes back to x_s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from diffloom.errors import DiffloomError
from diffloom.fixed_point import fixed_point
from diffloom.kinds import ImageInfo
from diffloom.process import Course, Denoised, Level, Step


def require_pictures(images: Tensor, image: ImageInfo) -> None:
    """Raise DiffloomError unless these are (n, C, H, W), as the model's pictures are."""
    due = (image.channels, image.height, image.width)
    if images.dim() != 4 or tuple(images.shape[1:]) != due:
        raise DiffloomError(
            f"images: {tuple(images.shape)} are not pictures of this model; give (n, {', '.join(map(str, due))}) "
            "in [-1, 1]"
        )


@dataclass(frozen=True)
class Inversion:
    """A walk up `course.levels`, from the last to the first; the deterministic walk down them is undone."""

    iterations: int = 100
    """The most network calls for one step. 1 is the usual inversion, of first order (Song et al. 2020, section 4.3)
    as diffusers computes it; more find the fixed point (Pan et al. 2023, Meiri et al. 2023)."""
    tolerance: float = 1e-5
    """A row is found when an iteration moves none of its values further than this, relative to its largest."""

    def __call__(self, x_BCHW: Tensor, course: Course) -> Iterator[Step]:
        """Walk x_BCHW, at the last level, to the first; a `Step` for each level but the last.

        Rows never mix. Raises DiffloomError where no signal is left at the first level, and where a row of a step has
        not been found.
        """
        if course.levels[0].alpha == 0:
            raise DiffloomError(
                f"inversion: no signal is left at time {course.levels[0].t:g}, so that nothing there leads back to the "
                "picture; take a spacing that begins at a cleaner level, such as leading"
            )
        for index, (level, next_level) in enumerate(pairwise(course.levels[::-1])):
            denoised, following = self._raised(x_BCHW, level, next_level, course)
            yield Step(
                index=index,
                level=level,
                next_level=next_level,
                x_t_BCHW=x_BCHW,
                x0_BCHW=denoised.x0_BCHW,
                following_BCHW=following,
            )
            x_BCHW = following

    def _raised(
        self, x_s_BCHW: Tensor, level: Level, next_level: Level, course: Course
    ) -> tuple[Denoised, Tensor]:
        """The last prediction, and x at the noisier `next_level`."""
        carry = next_level.alpha / level.alpha
        push = next_level.sigma - level.sigma * carry
        said: list[Denoised] = []

        def raised(x_BCHW: Tensor) -> Tensor:
            said[:] = [course.denoise(x_BCHW, next_level)]
            return carry * x_s_BCHW + push * said[0].eps_BCHW

        x_BCHW, change_B = fixed_point(raised, x_s_BCHW, iterations=self.iterations, tolerance=self.tolerance)
        unsettled_B = ~(change_B <= self.tolerance)
        if self.iterations > 1 and bool(unsettled_B.any()):
            raise DiffloomError(
                f"inversion: the step to time {next_level.t:g} still changes by {change_B[unsettled_B].max():.1g} of "
                f"its size after {self.iterations} iterations; take more steps, less guidance, a larger tolerance or "
                "more fixed_point_iterations, or 1 for the inexact inversion"
            )
        return said[0], x_BCHW

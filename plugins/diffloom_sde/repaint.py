"""Inpainting by an unconditional model. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from diffloom.process import Course, Level, Step, mixed
from diffloom_sde.ancestral import drawn
from diffloom_sde.jumps import legs
from diffloom_sde.known import cells_kept


@dataclass(frozen=True, eq=False)
class RePaint:
    """RePaint (Lugmayr et al. 2022, algorithm 1).

    Each step denoises as DDPM does, with the model's variance, and puts the known part of the picture, noised to that
    level, in its place. Now and then the walk goes back up by `jump_length` levels, in one draw of the forward process,
    so that both parts come to fit each other; a `Step` is a denoising step, with the way back up if one follows.

    diffusers takes one noise for both parts, turns back one level later, and on grids coarser than the table noises
    with the β of later times.
    """

    picture_CHW: Tensor
    """In [-1, 1], as large as the model's pictures; all samples keep it."""
    mask_HW: Tensor
    """What is kept: nonzero, or True."""
    jump_length: int = 10
    jump_n_sample: int = 10

    def __post_init__(self) -> None:
        """Raises ValueError for shapes that do not belong to a picture and its mask."""
        picture, mask = tuple(self.picture_CHW.shape), tuple(self.mask_HW.shape)
        if len(picture) != 3 or mask != picture[1:]:
            raise ValueError(
                f"repaint takes a picture (C, H, W) and a mask (H, W) of its size, not {picture} and {mask}"
            )

    def __call__(self, x_BCHW: Tensor, course: Course) -> Iterator[Step]:
        """Walk x_BCHW down and up. Raises ValueError for a picture that is not the samples' size."""
        known_1CHW, kept_HW = self._known(x_BCHW, course)
        levels = course.levels
        walk = legs(len(levels) - 1, jump_length=self.jump_length, jump_n_sample=self.jump_n_sample)
        for index, leg in enumerate(walk):
            level, lands, end = levels[leg.begin], levels[leg.lands], levels[leg.end]
            denoised = course.denoise(x_BCHW, level)
            following = drawn(  # lines 6 and 7
                x_BCHW, denoised, level=level, next_level=lands, course=course, index=index
            )
            there = known_1CHW.expand_as(following)
            if not lands.is_clean:
                there = mixed(lands.alpha, there, lands.sigma, course.noise(index, 1))  # line 5
            following = there.where(kept_HW, following)  # line 8
            if leg.jumps:
                following = _up(following, lands, end, course.noise(index, 2))  # line 10
            yield Step(
                index=index,
                level=level,
                next_level=end,
                x_t_BCHW=x_BCHW,
                x0_BCHW=denoised,
                following_BCHW=following,
            )
            x_BCHW = following

    def _known(self, x_BCHW: Tensor, course: Course) -> tuple[Tensor, Tensor]:
        """The picture in the model's space, and what of it is kept there."""
        known_1CHW = course.encode(self.picture_CHW[None].to(x_BCHW)).to(x_BCHW)
        if known_1CHW.shape[1:] != x_BCHW.shape[1:]:
            raise ValueError(
                f"repaint's picture {tuple(self.picture_CHW.shape)} becomes {tuple(known_1CHW.shape[1:])} in the "
                f"model's space, where samples are {tuple(x_BCHW.shape[1:])}: give a picture of the model's own size"
            )
        height, width = known_1CHW.shape[2:]
        return known_1CHW, cells_kept(self.mask_HW.bool(), height=height, width=width).to(x_BCHW.device)


def _up(x_BCHW: Tensor, level: Level, noisier: Level, noise_BCHW: Tensor) -> Tensor:
    """A draw of the forward process from a level to a noisier one."""
    shrink = noisier.alpha / level.alpha
    return mixed(shrink, x_BCHW, math.sqrt(noisier.sigma**2 - (shrink * level.sigma) ** 2), noise_BCHW)

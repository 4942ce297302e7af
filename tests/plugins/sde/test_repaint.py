"""RePaint: what is kept, where it goes, in which space, and that the rest fits.

Beside diffusers' scheduler it stands in test_diffusers_others.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffloom.kinds import Walk
from diffloom.process import CLEAN, Course, Denoised, FixedLarge, Level
from diffloom.testing import check_component
from diffloom.testing.closed_forms import GaussianData, normal, preserving, preserving_at
from diffloom.testing.course import course_of, walked
from diffloom_sde import RePaint, RePaintSampler
from diffloom_sde.jumps import legs
from diffloom_sde.known import cells_kept

DATA = GaussianData(0.2, 0.5)


@given(steps=st.integers(1, 60), length=st.integers(1, 15), samples=st.integers(1, 5))
def test_legs_are_one_walk_to_the_clean_end(steps: int, length: int, samples: int) -> None:
    """Each begins where the one before ended, one step down, then perhaps `length` up; levels are passed r times."""
    walk = list(legs(steps, jump_length=length, jump_n_sample=samples))
    assert walk[0].begin == 0
    assert walk[-1].end == steps
    for leg, following in pairwise(walk):
        assert leg.end == following.begin
    for leg in walk:
        assert leg.lands == leg.begin + 1
        assert leg.end in (leg.lands, leg.lands - length)
        assert 0 <= leg.end <= steps
    # the stretch above height 0, the cleanest noisy level, is passed `samples` times, where it is there
    passed = sum(leg.lands == steps - 1 for leg in walk)
    assert passed == (samples if steps > length else 1 if steps > 1 else 0)


def test_the_known_part_is_the_pictures_at_every_level() -> None:
    """Exactly at the end; on the way noised as the forward process has it, with noise of its own: 5 standard errors."""
    picture, mask = normal((1, 1, 80, 80), seed=4)[0].tanh(), torch.zeros(80, 80)
    mask[:, :40] = 1
    levels = preserving(20)
    steps = walked(
        RePaint(picture, mask, jump_length=4, jump_n_sample=2), normal((1, 1, 80, 80)), levels, DATA
    )
    assert len(steps) > 20
    kept = mask.bool()
    for step in steps[:-1]:
        level = step.next_level
        rest = ((step.following_BCHW[0] - level.alpha * picture) / level.sigma)[:, kept]
        assert abs(float(rest.mean())) < 5 / math.sqrt(rest.numel())
        assert abs(float(rest.var()) - 1) < 5 * math.sqrt(2 / rest.numel())
    assert torch.equal(steps[-1].following_BCHW[0][:, kept], picture[:, kept])
    assert not torch.equal(steps[-1].following_BCHW[0][:, ~kept], picture[:, ~kept])


def denoise_pairs(x: Tensor, level: Level) -> Denoised:
    """Two channels, normal with std 1 and correlated by 0.8: E[x₀ | x_t] = alpha·S·(alpha²·S + sigma²)⁻¹·x."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    spread = level.alpha**2 * covariance + level.sigma**2 * torch.eye(2, dtype=torch.float64)
    x0 = torch.einsum("ab,nbhw->nahw", level.alpha * covariance @ torch.linalg.inv(spread), x)
    return Denoised(x0_BCHW=x0, eps_BCHW=(x - level.alpha * x0) / level.sigma)


class Turned:
    """Pictures of one channel whose two halves are the model's two channels: so a mask can keep one of a pair."""

    def __call__(self, x: Tensor, level: Level) -> Denoised:
        pairs = torch.cat(x.chunk(2, dim=3), dim=1)
        said = denoise_pairs(pairs, level)
        x0, eps = (torch.cat(value.chunk(2, dim=1), dim=3) for value in (said.x0_BCHW, said.eps_BCHW))
        return Denoised(x0_BCHW=x0, eps_BCHW=eps)


def test_going_back_makes_the_parts_fit() -> None:
    """The unknown half of each pair follows the known one: b = 0.8·a + 0.6·z.

    Without jumps what is known is only put beside what is drawn (Lugmayr et al. 2022, section 4.2), and 0.48 is found
    for 0.8; with ten passes 0.73. The standard error is 0.01.
    """
    known = normal((1, 1, 60, 60), seed=9)[0]
    picture, mask = torch.cat([known, torch.zeros_like(known)], dim=2), torch.zeros(60, 120)
    mask[:, :60] = 1
    levels = [*(preserving_at(-9 + 20 * i / 99) for i in range(100)), CLEAN]
    slopes = []
    for samples in (1, 10):
        walk = RePaint(picture, mask, jump_length=16, jump_n_sample=samples)
        (*_, last) = walked(walk, normal((1, 1, 60, 120)), levels, Turned(), variance=FixedLarge())
        drawn = last.following_BCHW[0, :, :, 60:]
        slopes.append(float((drawn * known).sum() / known.square().sum()))
    assert abs(slopes[1] - 0.8) < 0.1
    assert abs(slopes[1] - 0.8) < abs(slopes[0] - 0.8) / 3
    assert abs(float((drawn - slopes[1] * known).std()) - 0.6) < 0.06


def test_a_space_of_its_own() -> None:
    """The picture is encoded, and a cell of the space is kept where all of its pixels are."""
    picture, mask = normal((1, 1, 8, 8), seed=4)[0], torch.ones(8, 8)
    mask[5, 6] = 0

    def encode(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images, 2).repeat(1, 3, 1, 1)

    course = course_of(normal((2, 3, 4, 4)), preserving(6), DATA)
    course = Course(**{**vars(course), "encode": encode})
    (*_, last) = RePaint(picture, mask)(normal((2, 3, 4, 4)), course)
    same = last.following_BCHW == encode(picture[None]).double()
    assert not same[:, :, 2, 3].any()
    same[:, :, 2, 3] = True
    assert same.all()


def test_a_mask_of_any_size_becomes_cells() -> None:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 1]]).bool()
    assert cells_kept(mask, height=1, width=2).tolist() == [[True, False]]
    assert cells_kept(mask, height=2, width=4).equal(mask)


def test_pictures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a picture \(C, H, W\) and a mask \(H, W\) of its size"):
        RePaint(torch.zeros(1, 4, 4), torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"not \(4, 4\) and \(4, 4\)"):
        RePaint(torch.zeros(4, 4), torch.zeros(4, 4))
    with pytest.raises(
        ValueError, match=r"\(1, 4, 4\) becomes \(1, 4, 4\) in the model's space.*\(3, 8, 8\)"
    ):
        walked(RePaint(torch.zeros(1, 4, 4), torch.zeros(4, 4)), normal((1, 3, 8, 8)), preserving(3), DATA)


class KeepsNothing(RePaintSampler):
    """RePaint whose picture is of any size, and nothing of it is kept: ancestral sampling that goes back and forth."""

    name = "keeps_nothing"

    def build(self) -> Walk:  # type: ignore[override]
        """The walk."""

        def walk(x: Tensor, course: Course) -> Any:
            picture = torch.zeros_like(x[0])
            jumps = {"jump_length": self.jump_length, "jump_n_sample": self.jump_n_sample}
            return RePaint(picture, torch.zeros_like(picture[0]), **jumps)(x, course)

        return walk


def test_the_kits_laws_hold_where_nothing_is_kept() -> None:
    assert check_component(KeepsNothing, picture="", mask="", jump_length=3, jump_n_sample=2) == []

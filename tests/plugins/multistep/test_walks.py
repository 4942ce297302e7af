"""What the multistep components promise: calls, memory, starts, ends, fields."""

from __future__ import annotations

import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import diffloom_multistep
from diffloom.kinds import Sampler
from diffloom.process import CLEAN, Denoised, Level, LinearSchedule
from diffloom.testing.closed_forms import GaussianData, normal, preserving
from diffloom.testing.course import course_of, walked
from diffloom_multistep import (
    DEIS,
    IPNDM,
    LMS,
    PLMS,
    DEISSampler,
    DPMpp2M,
    DPMpp2MSampler,
    DPMpp3M,
    DPMpp3MSampler,
    IPNDMSampler,
    LMSSampler,
    PLMSSampler,
    UniPC,
    UniPCSampler,
)

COMPONENTS = (
    LMSSampler,
    PLMSSampler,
    IPNDMSampler,
    DEISSampler,
    DPMpp2MSampler,
    DPMpp3MSampler,
    UniPCSampler,
)
SPECIMENS = [specimen for component in COMPONENTS for specimen in component.specimens(Path())]
by_specimen = pytest.mark.parametrize("sampler", SPECIMENS, ids=lambda s: f"{s.name} {s}")
DATA = GaussianData(0.2, 0.5)
SHAPE = (2, 1, 3, 3)


def counted(sampler: Sampler, levels: tuple[Level, ...]) -> int:
    calls = []

    def denoise(x: Tensor, level: Level) -> Denoised:
        calls.append(level)
        return DATA(x, level)

    walked(sampler.build(), normal(SHAPE), levels, denoise)
    return len(calls)


@by_specimen
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 20])
def test_calls_are_as_said(sampler: Sampler, steps: int) -> None:
    """One a step, as k-diffusion's lms and dpmpp_2m; PLMS one more, as latent-diffusion's; the same without signal."""
    extra = sampler.name == "plms" and steps > 1
    assert counted(sampler, preserving(steps)) == sampler.calls(steps) == steps + extra
    pure = (Level(99.0, 0.0, 1.0), *preserving(steps)[1:])
    assert counted(sampler, pure) == steps + extra


@by_specimen
def test_walks_are_deterministic_end_early_and_start_pure(sampler: Sampler) -> None:
    assert not sampler.stochastic
    assert sampler.starts_pure
    assert sampler.ends_early
    assert not sampler.own_steps


@by_specimen
def test_the_last_step_is_the_prediction_unless_it_is_lms(sampler: Sampler) -> None:
    """Into the clean level; LMS and the pseudo methods extrapolate there too, as k-diffusion and diffusers do."""
    last = walked(sampler.build(), normal(SHAPE), preserving(20), DATA)[-1]
    error = (last.following_BCHW - last.x0_BCHW).abs().max().item()
    assert (error < 1e-12) == (sampler.name not in ("lms", "plms", "ipndm"))


@pytest.mark.parametrize("sampler", [DEISSampler, DPMpp2MSampler, DPMpp3MSampler])
def test_the_order_falls_at_the_end_of_few_steps(sampler: type[Sampler]) -> None:
    """With 14 steps, and no longer with 15; the walk ends at a noisy level, where nothing else lowers the order."""
    for steps, differ in ((14, True), (15, False)):
        levels = preserving(steps + 1)[:-1]
        ends = [
            walked(sampler(lower_order_final=lower).build(), normal(SHAPE), levels, DATA)[-1].following_BCHW
            for lower in (True, False)
        ]
        assert torch.equal(*ends) != differ


def test_the_order_of_unipc_falls_at_the_end_of_every_walk() -> None:
    levels = preserving(41)[:-1]
    ends = [
        walked(UniPC(order=3, lower_order_final=lower), normal(SHAPE), levels, DATA)
        for lower in (True, False)
    ]
    same = [torch.equal(one.following_BCHW, other.following_BCHW) for one, other in zip(*ends, strict=True)]
    assert same == [True] * 38 + [False] * 2


@by_specimen
def test_only_what_is_needed_is_remembered(sampler: Sampler) -> None:
    """x₀ or ε of 4 predictions at most, and both of the newest, however long the walk."""
    alive: list[weakref.ref[Tensor]] = []

    def denoise(x: Tensor, level: Level) -> Denoised:
        seen = DATA(x, level)
        alive.extend((weakref.ref(seen.x0_BCHW), weakref.ref(seen.eps_BCHW)))
        return seen

    course = course_of(normal(SHAPE), preserving(40), denoise)
    for _ in sampler.build()(normal(SHAPE), course):
        assert sum(ref() is not None for ref in alive) <= 5
    assert len(alive) >= 80


def test_deis_in_time_refuses_levels_that_share_one() -> None:
    schedule = LinearSchedule().build()
    levels = [schedule.level(log_snr) for log_snr in (-14.0, -12.0, -6.0, 0.0)]  # the table begins at −10.1
    walk = DEIS(variable="time")
    with pytest.raises(ValueError, match="levels of different times"):
        walked(walk, normal(SHAPE), [*levels, CLEAN], DATA, at=schedule.level)


@pytest.mark.parametrize(
    ("component", "walk", "fields"),
    [
        (LMSSampler(solver_order=3), LMS, {"order": 3}),
        (PLMSSampler(), PLMS, {"order": 4}),
        (IPNDMSampler(solver_order=2), IPNDM, {"order": 2}),
        (
            DEISSampler(solver_order=2, variable="time", lower_order_final=False),
            DEIS,
            {"order": 2, "variable": "time", "lower_order_final": False},
        ),
        (
            DPMpp2MSampler(solver_type="heun", lower_order_final=False),
            DPMpp2M,
            {"solver_type": "heun", "lower_order_final": False},
        ),
        (
            DPMpp3MSampler(solver_type="published", lower_order_final=False),
            DPMpp3M,
            {"solver_type": "published", "lower_order_final": False},
        ),
        (
            UniPCSampler(solver_order=3, solver_type="bh1", lower_order_final=False),
            UniPC,
            {"order": 3, "solver_type": "bh1", "lower_order_final": False},
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_components_build_their_walks(component: Sampler, walk: type, fields: dict[str, object]) -> None:
    built = component.build()
    assert type(built) is walk
    assert {name: getattr(built, name) for name in fields} == fields


def test_orders_that_do_not_exist_are_refused() -> None:
    for component in (LMSSampler, IPNDMSampler, DEISSampler, UniPCSampler):
        with pytest.raises(ValidationError, match="solver_order"):
            component(solver_order=0)
    with pytest.raises(ValidationError, match="solver_order"):
        UniPCSampler(solver_order=4)
    for walk in (LMS, DEIS, UniPC):
        with pytest.raises(ValueError, match="the order is at least 1, not 0"):
            walk(order=0)
    with pytest.raises(ValueError, match="the order is 1, 2, 3 or 4, not 5"):
        IPNDM(order=5)


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_multistep; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(diffloom_multistep, name) for name in diffloom_multistep.__all__)

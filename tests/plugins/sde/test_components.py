"""What the components say of themselves, against what their walks do; and what lint says of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

import diffloom_sde
from diffloom.config import load
from diffloom.errors import ConfigError
from diffloom.kinds import ImageInfo, Sampler
from diffloom.plugins import load_registry
from diffloom.process import Denoised, Level, LinearSchedule
from diffloom.testing.closed_forms import GaussianData, normal, preserving
from diffloom.testing.course import walked
from diffloom_sde import (
    DPMpp2MSDESampler,
    DPMpp3MSDESampler,
    DPMppSDESampler,
    LCMSampler,
    ODESampler,
    PredictorCorrectorSampler,
    RePaintSampler,
    SASolverSampler,
)
from diffloom_sde.own_walks import PURE_START


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, str]:
    """A picture and a mask of 4×6 pixels that keeps the left half."""
    pixels = torch.arange(24, dtype=torch.uint8).view(4, 6).numpy()
    Image.fromarray(pixels * 10).save(tmp_path / "picture.png")
    mask = Image.new("L", (6, 4))
    mask.paste(255, (0, 0, 3, 4))
    mask.save(tmp_path / "mask.png")
    return {"picture": str(tmp_path / "picture.png"), "mask": str(tmp_path / "mask.png")}


def counted(sampler: Sampler, steps: int, shape: tuple[int, ...] = (1, 1, 4, 6)) -> int:
    """Network calls of a walk."""
    calls = []

    def denoise(x: torch.Tensor, level: Level) -> Denoised:
        calls.append(level)
        return GaussianData(0.2, 0.5)(x, level)

    walked(sampler.build(), normal(shape), preserving(steps), denoise)
    return len(calls)


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [
        (DPMppSDESampler(), [1, 3, 39]),  # measured on k-diffusion
        (DPMpp2MSDESampler(), [1, 2, 20]),
        (DPMpp3MSDESampler(), [1, 2, 20]),
        (SASolverSampler(), [1, 2, 20]),
        (SASolverSampler(corrector_order=0), [1, 2, 20]),
        (LCMSampler(), [1, 2, 20]),
        (PredictorCorrectorSampler(), [2, 4, 40]),
        (PredictorCorrectorSampler(corrector_steps=3), [4, 8, 80]),
        (PredictorCorrectorSampler(corrector_steps=0), [1, 2, 20]),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_calls(sampler: Sampler, calls: list[int]) -> None:
    """In 1, 2 and 20 steps, as the papers have it."""
    assert [sampler.calls(steps) for steps in (1, 2, 20)] == calls
    assert [counted(sampler, steps) for steps in (1, 2, 20)] == calls


def test_repaints_calls(pictures: dict[str, str]) -> None:
    """The paper's 250 levels with j = 10 and r = 10: from each of 24 levels 9 jumps of 10 levels, and all once."""
    sampler = RePaintSampler(**pictures)
    assert sampler.calls(250) == 250 + 24 * 9 * 10
    small = RePaintSampler(**pictures, jump_length=2, jump_n_sample=3)
    assert [small.calls(steps) for steps in (1, 2, 3, 8)] == [counted(small, steps) for steps in (1, 2, 3, 8)]
    assert RePaintSampler(**pictures, jump_n_sample=1).calls(50) == 50


@pytest.mark.parametrize(
    ("sampler", "order"),
    [
        (DPMppSDESampler(), None),
        (DPMppSDESampler(eta=0.0), 2),
        (DPMppSDESampler(s_noise=0.0), None),
        (DPMpp2MSDESampler(eta=0.0), 2),
        (DPMpp3MSDESampler(eta=0.0), 3),
        (DPMpp3MSDESampler(eta=0.0, solver_type="published"), 2),
        (SASolverSampler(), None),
        (SASolverSampler(tau=0.0), 2),
        (SASolverSampler(tau=0.0, predictor_order=3, corrector_order=4), 3),
        (SASolverSampler(tau=0.0, predictor_order=3, corrector_order=4, lower_order_final=False), 4),
        (SASolverSampler(tau=0.0, predictor_order=3, corrector_order=1), 1),
        (SASolverSampler(tau=0.0, predictor_order=3, corrector_order=0), 3),
        (LCMSampler(), None),
        (ODESampler(), None),
        (PredictorCorrectorSampler(), None),
    ],
    ids=str,
)
def test_order(sampler: Sampler, order: int | None) -> None:
    """Measured in test_exact_problems."""
    assert sampler.order == order


def test_what_draws_noise_says_so(pictures: dict[str, str]) -> None:
    """The kit holds every specimen to it."""
    drawing: list[Sampler] = [
        LCMSampler(),
        PredictorCorrectorSampler(),
        RePaintSampler(**pictures),
        DPMppSDESampler(),
    ]
    assert all(sampler.stochastic for sampler in drawing)
    silent: list[Sampler] = [ODESampler(), SASolverSampler(tau=0.0), DPMpp2MSDESampler(eta=0.0)]
    assert not any(sampler.stochastic for sampler in silent)
    assert ODESampler().calls(10) is None


def test_fields_reach_the_walk(pictures: dict[str, str]) -> None:
    cases: list[tuple[Sampler, dict[str, Any]]] = [
        (DPMppSDESampler(eta=0.3, s_noise=1.01, r=0.4), {"eta": 0.3, "s_noise": 1.01, "r": 0.4}),
        (DPMpp2MSDESampler(eta=0.3, solver_type="heun"), {"eta": 0.3, "s_noise": 1.0, "solver_type": "heun"}),
        (
            DPMpp3MSDESampler(s_noise=0.9, solver_type="published"),
            {"s_noise": 0.9, "solver_type": "published"},
        ),
        (
            SASolverSampler(predictor_order=4, corrector_order=3, tau=0.7, s_min=0.1, s_max=2.0),
            {"predictor_order": 4, "corrector_order": 3, "tau": 0.7, "s_min": 0.1, "s_max": 2.0},
        ),
        (LCMSampler(boundary=10.0), {"boundary": 10.0}),
        (
            PredictorCorrectorSampler(predictor="reverse_diffusion", corrector_steps=2, snr=0.2),
            {"predictor": "reverse_diffusion", "corrector_steps": 2, "snr": 0.2},
        ),
        (
            ODESampler(method="bosh3", rtol=1e-3, atol=1e-4, max_calls=90),
            {"method": "bosh3", "rtol": 1e-3, "atol": 1e-4, "max_calls": 90},
        ),
        (RePaintSampler(**pictures, jump_length=3, jump_n_sample=4), {"jump_length": 3, "jump_n_sample": 4}),
    ]
    for sampler, fields in cases:
        walk = sampler.build()
        assert {name: getattr(walk, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("component", "field", "value"),
    [
        (DPMppSDESampler, "eta", 1.1),
        (DPMppSDESampler, "r", 0.0),
        (DPMpp2MSDESampler, "eta", -0.1),
        (DPMpp3MSDESampler, "solver_type", "midpoint"),
        (SASolverSampler, "predictor_order", 5),
        (SASolverSampler, "corrector_order", -1),
        (LCMSampler, "boundary", 0.0),
        (PredictorCorrectorSampler, "corrector_steps", -1),
        (ODESampler, "method", "rk4"),
        (RePaintSampler, "jump_length", 0),
    ],
)
def test_fields_have_bounds(component: type[Sampler], field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        component(**{field: value})


def test_reverse_diffusion_refuses_to_start_without_signal() -> None:
    walk = PredictorCorrectorSampler(predictor="reverse_diffusion").build()
    levels = (Level(20.0, 0.0, 1.0), *preserving(3))
    with pytest.raises(ValueError, match="infinitely long"):
        walked(walk, normal((1, 1, 2, 2)), levels, GaussianData(0.0))


def test_boundary_scalings_refuse_time_0() -> None:
    with pytest.raises(ValueError, match="hand back x_t itself at time 0"):
        walked(LCMSampler(boundary=10.0).build(), normal((1, 1, 2, 2)), preserving(4), GaussianData(0.0))


def lint(configs: Path, *changes: str) -> str:
    """What a small configuration with these changes is told; nothing where it is sound."""
    try:
        load(configs / "digits.yaml", list(changes), registry=load_registry())
    except ConfigError as error:
        return str(error)
    return ""


LCM = "sampling.sampler={type: lcm, boundary: 10.0}"


def test_lint(configs: Path, pictures: dict[str, str], tmp_path: Path) -> None:
    assert "hand back x_t itself at time 0" in lint(configs, LCM, "sampling.spacing=leading")
    assert lint(configs, LCM, "sampling.spacing=trailing") == ""
    assert lint(configs, "sampling.sampler=lcm") == ""
    repaint = "sampling.sampler={{type: repaint, picture: {picture}, mask: {mask}}}"
    told = lint(configs, repaint.format(**pictures))
    assert "sampling.sampler: picture: it has 4×6 pixels, and the model's pictures have" in told
    assert "no.png cannot be read as a picture" in lint(
        configs, repaint.format(picture=tmp_path / "no.png", mask=pictures["mask"])
    )


class Pure(LinearSchedule):
    """A table that ends without signal."""

    name = "pure"

    @property
    def zero_snr(self) -> bool:
        return True


def test_what_a_sampler_asks_of_schedule_and_picture(pictures: dict[str, str]) -> None:
    grey, colour = (ImageInfo(height=4, width=6, channels=channels) for channels in (1, 3))
    backwards = PredictorCorrectorSampler(predictor="reverse_diffusion")
    with pytest.raises(ValueError, match="infinitely long"):
        backwards.check(image=grey, schedule=Pure(), times=())
    backwards.check(image=grey, schedule=LinearSchedule(), times=())
    PredictorCorrectorSampler().check(image=grey, schedule=Pure(), times=())
    assert "ancestral" in PURE_START
    RePaintSampler(**pictures).check(image=grey, schedule=Pure(), times=())
    with pytest.raises(
        ValueError, match="it has 1 channels, and the model's pictures have 3; save it as RGB"
    ):
        RePaintSampler(**pictures).check(image=colour, schedule=Pure(), times=())
    with pytest.raises(ValueError, match=r"mask: .* cannot be read"):
        RePaintSampler(picture=pictures["picture"], mask=__file__).check(
            image=grey, schedule=Pure(), times=()
        )


def test_importing_the_plugin_does_not_import_torch() -> None:
    code = "import sys, diffloom_sde; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert all(hasattr(diffloom_sde, name) for name in diffloom_sde.__all__)

"""diffusers' scheduler configurations. Oracle: diffusers' schedulers made from them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

from diffloom import config
from diffloom.bridge.layouts.scheduler import read_scheduler, write_scheduler
from diffloom.bridge.layouts.tables import signal_of
from diffloom.config import Document
from diffloom.errors import CheckpointError
from diffloom.process import BetasSchedule, CosineSchedule, LinearSchedule
from diffloom.registry import Registry

REST = {
    "image": {"size": 16},
    "backbone": {"type": "unet", "channels": [8], "attention_resolutions": [], "norm_groups": 4},
}
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TABLES: list[tuple[str, dict[str, Any]]] = [
    ("DDIMScheduler", {}),
    ("DDIMScheduler", {**SD, "steps_offset": 1, "clip_sample": False, "prediction_type": "v_prediction"}),
    ("DDIMScheduler", {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"}),
    ("DDIMScheduler", {"clip_sample_range": 2, "prediction_type": "sample", "num_train_timesteps": 400}),
    ("DDPMScheduler", {"timestep_spacing": "linspace", "variance_type": "fixed_large"}),
    ("DDIMScheduler", {**SD, "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}),
    (
        "DDIMScheduler",
        {
            **SD,
            "rescale_betas_zero_snr": True,
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
        },
    ),
    ("DDPMScheduler", {"beta_schedule": "sigmoid"}),
    ("DDPMScheduler", {"beta_schedule": "laplace"}),
]
"""Schedulers whose times are whole, with all that they may say."""
name_of = lambda value: str(value)[:60]  # noqa: E731


def given(diffusers: ModuleType, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The whole configuration that such a scheduler writes."""
    return {**getattr(diffusers, name)(**options).config, "_class_name": name}


def described(said: dict[str, Any], registry: Registry) -> Document:
    """The document of a scheduler's configuration, beside a network that does not matter."""
    sections = read_scheduler(said, place="here").sections
    document = config.load({**REST, **sections}, registry=registry).document
    assert isinstance(document, Document)
    return document


@pytest.mark.parametrize(("name", "options"), TABLES, ids=name_of)
def test_tables_and_times(
    name: str, options: dict[str, Any], diffusers: ModuleType, registry: Registry
) -> None:
    theirs = getattr(diffusers, name)(**options)
    document = described(given(diffusers, name, options), registry)
    # theirs multiply up to 1000 factors in float32, and rescaling takes what is left of a difference
    torch.testing.assert_close(
        signal_of(document.schedule.build()).float(), theirs.alphas_cumprod, rtol=5e-5, atol=1e-7
    )
    theirs.set_timesteps(20)
    spacing: Any = document.sampling.spacing
    times = spacing.times(axis=document.schedule.axis, steps=20)
    assert [int(t) for t in times] == theirs.timesteps.tolist()
    assert document.sampling.sampler.name == name[:4].lower()
    wanted = theirs.config.clip_sample_range if theirs.config.clip_sample else None
    assert document.sampling.clip == wanted
    words = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
    assert document.prediction.name == words[theirs.config.prediction_type]
    last = getattr(theirs, "final_alpha_cumprod", torch.tensor(1.0))  # where their last step goes
    assert (document.sampling.end == "clean") == (last == 1.0)
    assert document.variance.name == options.get("variance_type", "fixed_small")


@pytest.mark.parametrize(("name", "options"), TABLES[:6], ids=name_of)
def test_there_and_back(
    name: str, options: dict[str, Any], diffusers: ModuleType, registry: Registry
) -> None:
    document = described(given(diffusers, name, options), registry)
    written, _ = write_scheduler(document)
    assert described(written, registry) == document
    again = getattr(diffusers, written["_class_name"]).from_config(written)
    before = getattr(diffusers, name)(**options)
    assert torch.equal(again.alphas_cumprod, before.alphas_cumprod)
    if name == "DDIMScheduler":
        assert torch.equal(again.final_alpha_cumprod, before.final_alpha_cumprod)


def test_betas_by_themselves(diffusers: ModuleType, registry: Registry) -> None:
    """Those of a schedule that has a name are that schedule; others are themselves."""
    for schedule in (LinearSchedule(), CosineSchedule(steps=50)):
        betas = [float(beta) for beta in schedule.betas()]
        said = given(diffusers, "DDIMScheduler", {"trained_betas": betas, "num_train_timesteps": len(betas)})
        assert described(said, registry).schedule == schedule
    said = given(diffusers, "DDIMScheduler", {"trained_betas": [0.1, 0.5, 0.2], "num_train_timesteps": 3})
    assert described(said, registry).schedule == BetasSchedule(values=(0.1, 0.5, 0.2))


def test_a_schedule_without_a_name_there_becomes_its_betas(diffusers: ModuleType, registry: Registry) -> None:
    base = described({"_class_name": "DDIMScheduler", **SD}, registry)
    odd = CosineSchedule(steps=100, s=0.02)
    written, _ = write_scheduler(base.model_copy(update={"schedule": odd}))
    theirs = diffusers.DDIMScheduler.from_config(written)
    torch.testing.assert_close(signal_of(odd.build()).float(), theirs.alphas_cumprod, rtol=3e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"snr_shift_scale": 3.0}, "a table with a part of its signal, which diffloom does not have"),
        ({"timestep_type": "continuous"}, r"a table whose network is shown ln\(sigma\)/4"),
        ({"use_flow_sigmas": True}, "a flow on the times of a table"),
        ({"beta_schedule": "quadratic"}, "beta_schedule 'quadratic' is none of linear, scaled_linear"),
        ({"prediction_type": "flow"}, "prediction_type 'flow' is none of epsilon, sample, v_prediction"),
        ({"variance_type": "learned"}, "variance_type 'learned' is none of fixed_small"),
        ({"timestep_spacing": "karras"}, "timestep_spacing 'karras' is none of leading"),
        ({"trained_betas": [0.1, -0.5, 0.2]}, "trained_betas: Input should be greater than 0"),
        ({"beta_schedule": None, "_class_name": "IPNDMScheduler"}, "says no beta_schedule"),
        (
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True},
            "a flow from noise to data",
        ),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift_terminal": 0.1}, "an end of its own"),
        (
            {
                "_class_name": "FlowMatchEulerDiscreteScheduler",
                "use_dynamic_shifting": True,
                "time_shift_type": "linear",
            },
            "a shift by μ itself",
        ),
        ({"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"}, "with the sign turned"),
    ],
)
def test_what_is_no_process_of_ours(changes: dict[str, Any], message: str) -> None:
    said = {"_class_name": "DDIMScheduler", **SD, **changes}
    with pytest.raises(CheckpointError, match=message):
        read_scheduler({key: value for key, value in said.items() if value is not None}, place="here")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            {"_class_name": "KarrasVeScheduler"},
            "KarrasVeScheduler is drawn from with ddim, which stands for it",
        ),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"},
            "DPMSolverMultistepScheduler is drawn from with ddim",
        ),
        (
            {"_class_name": "PNDMScheduler"},
            "plms starts with one call more, and not with the Runge-Kutta steps",
        ),
        ({"_class_name": "PNDMScheduler"}, "the last step ends at the schedule's first time"),
        ({"_class_name": "LCMScheduler"}, "theirs visits times of a grid of 50"),
        ({"_class_name": "EulerDiscreteScheduler"}, "theirs visits fractional times; linspace rounds them"),
        (
            {
                "_class_name": "EulerDiscreteScheduler",
                "use_karras_sigmas": True,
                "timestep_spacing": "leading",
            },
            "the ends of karras are the schedule's; theirs are those of its leading times",
        ),
        (
            {"_class_name": "DDIMScheduler", "thresholding": True},
            "thresholding with sample_max_value 1 is plain clipping",
        ),
        (
            {"_class_name": "DDIMScheduler", "thresholding": True, "sample_max_value": 4.0},
            "dynamic thresholding without the bound of sample_max_value 4",
        ),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -5.1},
            "lambda_min_clipped is left out",
        ),
    ],
)
def test_what_is_otherwise_is_told(said: dict[str, Any], told: str) -> None:
    assert told in "\n".join(read_scheduler({**SD, **said}, place="x").told)


def test_thresholding_becomes_a_correction(registry: Registry) -> None:
    said = {"_class_name": "DDIMScheduler", **SD, "thresholding": True, "sample_max_value": 9.0}
    document = described({**said, "dynamic_thresholding_ratio": 0.99}, registry)
    (correction,) = document.sampling.corrections
    assert (correction.name, correction.percentile) == ("dynamic_threshold", 99.0)  # type: ignore[attr-defined]
    assert document.sampling.clip is None
    clipped = described({**said, "sample_max_value": 1.0}, registry)
    assert (clipped.sampling.corrections, clipped.sampling.clip) == ((), 1.0)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"schedule": "vp"}, "schedule diffloom/vp: DDIMScheduler has a table, and this schedule has none"),
        ({"prediction": "score"}, "prediction diffloom/score: diffusers has no such prediction_type"),
        ({"sampling": {"sampler": "ddim", "steps": 5, "spacing": "quadratic"}}, "has no such spacing"),
        (
            {"sampling": {"sampler": "ddim", "steps": 5, "spacing": "karras"}},
            "DDIMScheduler has no such spacing",
        ),
        ({"schedule": {"type": "flow", "first": 0.0123}, "prediction": "flow"}, r"no whole part of 1"),
        (
            {"schedule": "flow", "prediction": "v"},
            "prediction diffloom/v: diffusers has no such prediction_type",
        ),
    ],
)
def test_what_theirs_cannot_say_is_refused(section: dict[str, Any], message: str, registry: Registry) -> None:
    base = {
        "schedule": "linear",
        "prediction": "v",
        "sampling": {"sampler": "ddim", "steps": 5, "spacing": "linspace"},
    }
    document = config.load({**REST, **base, **section}, registry=registry).document
    assert isinstance(document, Document)
    with pytest.raises(CheckpointError, match=message):
        write_scheduler(document)


def test_ancestral_sampling_ends_clean_whatever_stands_beside() -> None:
    """Published folders keep the keys of schedulers they once had; DDPMScheduler does not look at this one."""
    said = {"_class_name": "DDPMScheduler", **SD, "set_alpha_to_one": False}
    assert read_scheduler(said, place="x").sections["sampling"]["end"] == "clean"

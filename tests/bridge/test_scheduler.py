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
from diffloom.process import CosineSchedule, LinearSchedule
from diffloom.registry import Registry

REST = {
    "image": {"size": 8},
    "backbone": {"type": "unet", "channels": [8], "attention_resolutions": [], "norm_groups": 4},
}
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("DDIMScheduler", {}),
    ("DDIMScheduler", {**SD, "steps_offset": 1, "clip_sample": False, "prediction_type": "v_prediction"}),
    ("DDIMScheduler", {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"}),
    ("DDIMScheduler", {"clip_sample_range": 2, "prediction_type": "sample", "num_train_timesteps": 400}),
    ("DDPMScheduler", {"timestep_spacing": "linspace", "variance_type": "fixed_large"}),
    ("DDIMScheduler", {**SD, "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}),
    ("PNDMScheduler", {**SD, "steps_offset": 1, "skip_prk_steps": True}),
    ("EulerDiscreteScheduler", {**SD, "timestep_spacing": "leading"}),
    ("DPMSolverMultistepScheduler", SD),
]


def described(given: dict[str, Any], registry: Registry) -> Document:
    """The document of a scheduler's configuration, beside a network that does not matter."""
    sections = read_scheduler(given, place="here").sections
    document = config.load({**REST, **sections}, registry=registry).document
    assert isinstance(document, Document)
    return document


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value)[:40])
def test_schedule_and_times(
    name: str, options: dict[str, Any], diffusers: ModuleType, registry: Registry
) -> None:
    theirs = getattr(diffusers, name)(**options)
    document = described({**theirs.config, "_class_name": name}, registry)
    # theirs multiply up to 1000 factors in float32
    torch.testing.assert_close(
        signal_of(document.schedule.build()).float(), theirs.alphas_cumprod, rtol=3e-5, atol=1e-8
    )
    if name in ("DDIMScheduler", "DDPMScheduler"):
        theirs.set_timesteps(20)
        times = document.sampling.spacing.times(length=document.schedule.length, steps=20)
        assert [int(t) for t in times] == theirs.timesteps.tolist()
        assert document.sampling.sampler.name == name[:4].lower()
        wanted = theirs.config.clip_sample_range if theirs.config.clip_sample else None
        assert document.sampling.clip == wanted
    words = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
    assert document.prediction.name == words[theirs.config.prediction_type]
    last = getattr(theirs, "final_alpha_cumprod", torch.tensor(1.0))  # where their last step goes
    assert (document.sampling.end == "clean") == (last == 1.0)
    assert document.variance.name == options.get("variance_type", "fixed_small")


@pytest.mark.parametrize(("name", "options"), CASES[:6], ids=lambda value: str(value)[:40])
def test_there_and_back(
    name: str, options: dict[str, Any], diffusers: ModuleType, registry: Registry
) -> None:
    given = {**getattr(diffusers, name)(**options).config, "_class_name": name}
    document = described(given, registry)
    written, _ = write_scheduler(document)
    assert described(written, registry) == document
    again = getattr(diffusers, written["_class_name"]).from_config(written)
    before = getattr(diffusers, name)(**options)
    assert torch.equal(again.alphas_cumprod, before.alphas_cumprod)
    if name == "DDIMScheduler":
        assert torch.equal(again.final_alpha_cumprod, before.final_alpha_cumprod)


def test_betas_by_themselves(diffusers: ModuleType, registry: Registry) -> None:
    for schedule in (LinearSchedule(), CosineSchedule(steps=50)):
        betas = [float(beta) for beta in schedule.betas()]
        theirs = diffusers.DDIMScheduler(trained_betas=betas, num_train_timesteps=len(betas))
        assert described({**theirs.config, "_class_name": "DDIMScheduler"}, registry).schedule == schedule


def test_a_schedule_without_a_name_there_becomes_its_betas(diffusers: ModuleType, registry: Registry) -> None:
    base = described({"_class_name": "DDIMScheduler", **SD}, registry)
    odd = CosineSchedule(steps=100, s=0.02)
    written, _ = write_scheduler(base.model_copy(update={"schedule": odd}))
    theirs = diffusers.DDIMScheduler.from_config(written)
    torch.testing.assert_close(signal_of(odd.build()).float(), theirs.alphas_cumprod, rtol=3e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rescale_betas_zero_snr": True}, "zero terminal SNR, which diffloom does not have yet"),
        ({"thresholding": True}, "dynamic thresholding, which diffloom does not have"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule 'sigmoid' is none of linear, scaled_linear"),
        ({"prediction_type": "flow"}, "prediction_type 'flow' is none of epsilon, sample, v_prediction"),
        ({"variance_type": "learned"}, "variance_type 'learned' is none of fixed_small"),
        ({"timestep_spacing": "karras"}, "timestep_spacing 'karras' is none of leading"),
        ({"trained_betas": [0.1, 0.5, 0.2]}, "is none of linear, scaled_linear and cosine"),
        ({"beta_schedule": None, "_class_name": "FlowMatchEulerDiscreteScheduler"}, "says no beta_schedule"),
    ],
)
def test_what_is_no_process_of_ours(changes: dict[str, Any], message: str) -> None:
    given = {"_class_name": "DDIMScheduler", **SD, **changes}
    with pytest.raises(CheckpointError, match=message):
        read_scheduler({key: value for key, value in given.items() if value is not None}, place="here")


@pytest.mark.parametrize("said", [{}, {"set_alpha_to_one": False}], ids=["by default", "said"])
def test_what_stands_for_another_sampler_is_told(said: dict[str, Any]) -> None:
    told = "\n".join(read_scheduler({"_class_name": "PNDMScheduler", **SD, **said}, place="x").told)
    assert "PNDMScheduler is drawn from with ddim, 50 steps" in told
    assert "the last step ends at the schedule's first time" in told


def test_ancestral_sampling_ends_clean_whatever_stands_beside() -> None:
    """Published folders keep the keys of schedulers they once had; DDPMScheduler does not look at this one."""
    given = {"_class_name": "DDPMScheduler", **SD, "set_alpha_to_one": False}
    assert read_scheduler(given, place="x").sections["sampling"]["end"] == "clean"

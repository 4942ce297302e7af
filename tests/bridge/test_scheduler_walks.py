"""Samplers and grids of diffusers' schedulers. Oracle: diffusers' schedulers made from their configurations."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from diffloom import config
from diffloom.bridge.layouts.scheduler import read_scheduler, write_scheduler
from diffloom.config import Document
from diffloom.config.plain import plain
from diffloom.registry import Registry

REST = {
    "image": {"size": 16},
    "backbone": {"type": "unet", "channels": [8], "attention_resolutions": [], "norm_groups": 4},
}
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
ZERO = {
    **SD,
    "rescale_betas_zero_snr": True,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}
SIGMAS: list[tuple[str, dict[str, Any], str]] = [
    ("EulerDiscreteScheduler", {**SD, "timestep_spacing": "leading", "steps_offset": 1}, "euler"),
    ("EulerDiscreteScheduler", {**SD, "use_karras_sigmas": True}, "euler"),
    (
        "EulerDiscreteScheduler",
        {**SD, "use_exponential_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0},
        "euler",
    ),
    ("EulerDiscreteScheduler", {**SD, "use_beta_sigmas": True}, "euler"),
    ("EulerAncestralDiscreteScheduler", {**SD, "timestep_spacing": "trailing"}, "euler_ancestral"),
    ("LMSDiscreteScheduler", {**SD, "use_karras_sigmas": True}, "lms"),
    ("DPMSolverMultistepScheduler", SD, "dpmpp_2m"),
    ("DPMSolverMultistepScheduler", {**SD, "timestep_spacing": "leading", "steps_offset": 1}, "dpmpp_2m"),
    ("DPMSolverMultistepScheduler", {**SD, "use_lu_lambdas": True, "solver_type": "heun"}, "dpmpp_2m"),
    ("DPMSolverMultistepScheduler", {**SD, "solver_order": 3, "timestep_spacing": "trailing"}, "dpmpp_3m"),
    ("DPMSolverMultistepScheduler", {**SD, "algorithm_type": "sde-dpmsolver++"}, "dpmpp_2m_sde"),
    ("UniPCMultistepScheduler", {**SD, "solver_order": 3, "solver_type": "bh1"}, "unipc"),
    ("DEISMultistepScheduler", {**SD, "use_karras_sigmas": True, "lower_order_final": False}, "deis"),
    ("EDMEulerScheduler", {"sigma_max": 50.0, "rho": 5.0}, "euler"),
    ("EDMDPMSolverMultistepScheduler", {"sigma_schedule": "exponential", "sigma_data": 0.7}, "dpmpp_2m"),
    ("FlowMatchEulerDiscreteScheduler", {}, "euler"),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, "euler"),
]
"""Schedulers whose grid is their `sigmas`, and our sampler."""
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


def conditional(document: Document, registry: Registry) -> Document:
    """With a condition, whose pipelines take any scheduler."""
    loaded = config.load(
        {
            **REST,
            **{key: plain(getattr(document, key)) for key in ("schedule", "prediction", "sampling")},
            "conditioners": {"label": {"type": "class_label", "classes": 3}},
        },
        registry=registry,
    ).document
    assert isinstance(loaded, Document)
    return loaded


@pytest.mark.parametrize(("name", "options", "sampler"), SIGMAS, ids=name_of)
def test_samplers_and_sigmas(
    name: str, options: dict[str, Any], sampler: str, diffusers: ModuleType, registry: Registry
) -> None:
    """The grid of twelve steps: sigma/alpha, or sigma of a flow."""
    theirs = getattr(diffusers, name)(**options)
    document = described(given(diffusers, name, options), registry)
    assert document.sampling.sampler.name == sampler
    theirs.set_timesteps(12)
    schedule = document.schedule.build(space=document.space_info)
    levels = document.sampling.spacing.levels(schedule, steps=12)
    ours = [level.sigma if name.startswith("Flow") else level.ratio for level in levels]
    # float32 tables, and of Euler's beta quantiles of them
    np.testing.assert_allclose(ours, theirs.sigmas[:12].double(), rtol=1e-4)
    assert (theirs.sigmas[12] == 0) == (document.sampling.end == "clean")
    (first, _) = schedule.levels([schedule.axis.first])
    wanted = 0.0 if document.sampling.end == "clean" else first.ratio
    assert float(theirs.sigmas[12]) == pytest.approx(wanted, rel=1e-4)
    for field in ("solver_order", "solver_type", "lower_order_final"):
        said = theirs.config.get(field)
        if said is not None and hasattr(document.sampling.sampler, field) and sampler != "dpmpp_3m":
            assert getattr(document.sampling.sampler, field) == said
    if name.startswith("EDM"):
        assert document.prediction.name == "edm"
        assert document.prediction.sigma_data == theirs.config.sigma_data  # type: ignore[attr-defined]
    if name.startswith("Flow"):
        assert document.prediction.name == "flow"


@pytest.mark.parametrize(
    ("name", "options"), [(n, o) for n, o, _ in SIGMAS if "sigma_max" not in o or n[:3] == "EDM"], ids=name_of
)
def test_samplers_there_and_back(
    name: str, options: dict[str, Any], diffusers: ModuleType, registry: Registry
) -> None:
    """A model with a condition keeps its sampler, and theirs, made from what is written, has the same sigmas."""
    document = conditional(described(given(diffusers, name, options), registry), registry)
    written, told = write_scheduler(document)
    assert told == ()
    assert written["_class_name"] == name
    again = getattr(diffusers, name).from_config(written)
    before = getattr(diffusers, name)(**options)
    again.set_timesteps(9)
    before.set_timesteps(9)
    torch.testing.assert_close(again.sigmas, before.sigmas, rtol=1e-5, atol=0)
    assert described(written, registry).sampling == document.sampling
    assert described(written, registry).schedule == document.schedule


def test_a_shift_by_size_there_and_back(diffusers: ModuleType, registry: Registry) -> None:
    said = given(
        diffusers, "FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True, "max_shift": 1.2}
    )
    document = described(said, registry)
    shift: Any = document.schedule.shift  # type: ignore[attr-defined]
    assert (shift.rule, shift.base, shift.max, shift.base_tokens, shift.max_tokens) == (
        "linear",
        0.5,
        1.2,
        256,
        4096,
    )
    written, _ = write_scheduler(document)
    assert written["use_dynamic_shifting"] is True
    assert described(written, registry) == document


def test_zero_terminal_snr_there_and_back(diffusers: ModuleType, registry: Registry) -> None:
    """DDIM keeps the switch; Euler, whose own leaves 2⁻²⁴ of the signal, is given the betas."""
    document = described(given(diffusers, "DDIMScheduler", ZERO), registry)
    assert document.schedule.zero_snr
    written, _ = write_scheduler(document)
    assert written["rescale_betas_zero_snr"] is True
    assert described(written, registry).schedule == document.schedule
    sampling = document.sampling.model_copy(update={"sampler": registry.find("sampler", "euler")()})
    euler, _ = write_scheduler(conditional(document.model_copy(update={"sampling": sampling}), registry))
    assert euler["_class_name"] == "EulerDiscreteScheduler"
    assert euler["trained_betas"][-1] == 1.0


def test_what_stands_for_a_sampler_of_ours_is_told(registry: Registry) -> None:
    """Theirs have no predictor-corrector; and their pipelines without conditions know DDIM and DDPM alone."""
    document = described({"_class_name": "DDIMScheduler", **SD, "clip_sample": False}, registry)
    for name in ("euler", "predictor_corrector"):
        sampling = document.sampling.model_copy(update={"sampler": registry.find("sampler", name)()})
        changed = document.model_copy(update={"sampling": sampling})
        written, told = write_scheduler(changed if name == "euler" else conditional(changed, registry))
        assert written["_class_name"] == "DDIMScheduler"
        assert told == (f"sampler diffloom/{name}: a DDIMScheduler stands for it",)

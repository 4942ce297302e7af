"""diffusers' scheduler configuration ↔ schedule, prediction, variance and the way samples are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from diffloom.bridge.layouts.tables import betas_of, schedule_of
from diffloom.config.document import Document
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.kinds import Schedule
from diffloom.process.schedules import BetaSchedule, LinearSchedule, ScaledLinearSchedule
from diffloom.process.signal_schedules import CosineSchedule

PREDICTIONS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}
"""Their `prediction_type` → our prediction."""
SPACINGS = ("leading", "trailing", "linspace")
VARIANCES = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "fixed_large_log": "fixed_large",
    "learned_range": "learned_range",
}
"""Their `variance_type` → our variance."""
CLIPPING = ("DDIMScheduler", "DDPMScheduler")
"""Schedulers that clip unless they are told not to; the others never do."""
SHORT = ("PNDMScheduler",)
"""Schedulers that end at the first time unless they are told not to."""
REFUSED = {
    "rescale_betas_zero_snr": "a schedule rescaled to zero terminal SNR, which diffloom does not have yet",
    "thresholding": "dynamic thresholding, which diffloom does not have",
}
"""Switches that make another process, and what they switch on."""


@dataclass(frozen=True)
class Mathematics:
    """Everything of a model but its networks, as the sections of a configuration."""

    sections: Mapping[str, Any]
    """`schedule`, `prediction`, `variance`, `sampling`."""
    told: tuple[str, ...]


def read_scheduler(config: Mapping[str, Any], *, place: str, steps: int | None = None) -> Mathematics:
    """What a scheduler's configuration is here; `steps` is how many are taken where it does not matter to DDPM.

    Raises CheckpointError for a process that we do not have.
    """
    name = str(config.get("_class_name", "a scheduler"))
    for switch, what in REFUSED.items():
        if config.get(switch):
            raise CheckpointError(f"{place}: {switch}: this model needs {what}; nothing was loaded")
    schedule = _schedule(config, place)
    ancestral = name == "DDPMScheduler"
    spacing = _word(config, "timestep_spacing", "leading", SPACINGS, place)
    section: dict[str, Any] = {"type": spacing}
    if spacing == "leading":
        section["offset"] = config.get("steps_offset", 0)
    clips = config.get("clip_sample", name in CLIPPING)
    prediction = PREDICTIONS[_word(config, "prediction_type", "epsilon", PREDICTIONS, place)]
    variance = VARIANCES[_word(config, "variance_type", "fixed_small", VARIANCES, place)]
    stops = not ancestral and config.get("set_alpha_to_one", name not in SHORT) is False
    steps = schedule.steps if ancestral else min(steps or 50, schedule.steps)
    sections = {
        "schedule": plain(schedule),
        "prediction": prediction,
        "variance": variance,
        "sampling": {
            "sampler": "ddpm" if ancestral else "ddim",
            "steps": steps,
            "spacing": section,
            "end": "first" if stops else "clean",
            "clip": float(config.get("clip_sample_range", 1.0)) if clips else None,
        },
    }
    return Mathematics(sections, tuple(_told(config, name, sections)))


def _told(config: Mapping[str, Any], name: str, sections: Mapping[str, Any]) -> Iterator[str]:
    schedule, sampling = sections["schedule"], sections["sampling"]
    fields = ", ".join(f"{key} {value}" for key, value in schedule.items() if key != "type")
    yield f"scheduler: schedule {schedule['type']} ({fields}), prediction {sections['prediction']}"
    if name not in CLIPPING:
        yield f"scheduler: {name} is drawn from with {sampling['sampler']}, {sampling['steps']} steps"
    if sampling["end"] == "first":
        yield "scheduler: the last step ends at the schedule's first time (set_alpha_to_one is false)"


def _schedule(config: Mapping[str, Any], place: str) -> BetaSchedule:
    length = config.get("num_train_timesteps", 1000)
    if (betas := config.get("trained_betas")) is not None:
        return schedule_of({"betas": torch.tensor(betas, dtype=torch.float32)}, place=place)
    if "beta_schedule" not in config:
        raise CheckpointError(
            f"{place}: {config.get('_class_name', 'this scheduler')} says no beta_schedule, and diffloom has no "
            "schedule of its kind; nothing was loaded"
        )
    word = _word(config, "beta_schedule", "", ("linear", "scaled_linear", "squaredcos_cap_v2"), place)
    if word == "squaredcos_cap_v2":
        return CosineSchedule(steps=length)
    ends = {"beta_start": float(config["beta_start"]), "beta_end": float(config["beta_end"])}
    kind: type[LinearSchedule | ScaledLinearSchedule] = (
        LinearSchedule if word == "linear" else ScaledLinearSchedule
    )
    return kind(steps=length, **ends)


def _word(config: Mapping[str, Any], key: str, default: str, known: Any, place: str) -> str:
    word = config.get(key) or default  # null is their word for nothing said
    if word not in known:
        raise CheckpointError(f"{place}: {key} {word!r} is none of {', '.join(known)}; nothing was loaded")
    return str(word)


def write_scheduler(document: Document) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The configuration of their scheduler that draws as the document says, and what it leaves unsaid.

    Raises CheckpointError for a prediction or a schedule that theirs do not have.
    """
    sampling = document.sampling
    ancestral = sampling.sampler.name == "ddpm"
    words = {ours: theirs for theirs, ours in PREDICTIONS.items()}
    if document.prediction.name not in words:
        raise CheckpointError(
            f"prediction {document.prediction.canonical}: diffusers has no such prediction_type"
        )
    config: dict[str, Any] = {
        "_class_name": "DDPMScheduler" if ancestral else "DDIMScheduler",
        **_betas(document.schedule),
        "num_train_timesteps": document.schedule.axis.count,
        "prediction_type": words[document.prediction.name],
        "clip_sample": sampling.clip is not None,
        "clip_sample_range": 1.0 if sampling.clip is None else sampling.clip,
        "timestep_spacing": sampling.spacing.name,
        "steps_offset": getattr(sampling.spacing, "offset", 0),
        "thresholding": False,
        "rescale_betas_zero_snr": False,
    }
    if sampling.spacing.name not in SPACINGS:
        raise CheckpointError(f"spacing {sampling.spacing.canonical}: diffusers has no such timestep_spacing")
    told = []
    if ancestral:
        config["variance_type"] = document.variance.name
    else:
        config["set_alpha_to_one"] = sampling.end == "clean"
        if sampling.sampler.name != "ddim":
            told.append(f"sampler {sampling.sampler.canonical}: a DDIMScheduler stands for it")
        if sampling.clip is not None:
            told.append("clipping: the same pictures come with use_clipped_model_output=True")
    return config, tuple(told)


def _betas(schedule: Schedule) -> dict[str, Any]:
    if isinstance(schedule, LinearSchedule | ScaledLinearSchedule):
        return {
            "beta_schedule": schedule.name,
            "beta_start": schedule.beta_start,
            "beta_end": schedule.beta_end,
        }
    if schedule.axis.count is None:
        raise CheckpointError(
            f"schedule {schedule.canonical}: diffusers' schedulers have tables, and it has none"
        )
    if schedule == CosineSchedule(steps=schedule.axis.count):
        return {"beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "beta_end": 0.02}
    built = schedule.build()
    times = torch.arange(schedule.axis.count, dtype=torch.float64)
    if not torch.allclose(
        built.alpha(times) ** 2 + built.sigma(times) ** 2, torch.ones(1, dtype=torch.float64)
    ):
        raise CheckpointError(f"schedule {schedule.canonical}: diffusers' schedulers preserve the variance")
    return {"beta_schedule": "linear", "trained_betas": betas_of(built).tolist()}

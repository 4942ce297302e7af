"""diffusers' scheduler configuration ↔ schedule, prediction, variance and the way samples are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffloom.bridge.layouts.scheduler_noise import PREDICTIONS, read_noise, word, write_schedule
from diffloom.bridge.layouts.scheduler_walk import read_sampler, read_spacing, write_sampler, write_spacing
from diffloom.config.document import Document
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.kinds import Schedule
from diffloom.process import EDMPrediction, EDMSchedule, FlowSchedule

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
NEVER_CLEAN = ("DEISMultistepScheduler",)
"""Schedulers that end at the first time whatever they are told."""


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
    schedule, prediction = read_noise(config, place=place)
    sampler, told_sampler = read_sampler(config)
    spacing, told_spacing = read_spacing(config, place)
    ancestral = name == "DDPMScheduler"
    count = schedule.axis.count
    if ancestral:
        assert count is not None, "DDPM has a table"
        steps = count
    else:
        steps = min(steps or 50, count or 50)
    clip, corrections, told_range = _range(config, name)
    sections = {
        "schedule": plain(schedule),
        "prediction": prediction if isinstance(prediction, str) else plain(prediction),
        "variance": VARIANCES[word(config, "variance_type", "fixed_small", VARIANCES, place)],
        "sampling": {
            "sampler": sampler if len(sampler) > 1 else sampler["type"],
            "steps": steps,
            "spacing": spacing,
            "end": "first" if _stops(config, name) else "clean",
            "clip": clip,
            **({"corrections": corrections} if corrections else {}),
        },
    }
    told = (*_told(schedule, sections), *told_sampler, *told_spacing, *told_range)
    return Mathematics(sections, told)


def _stops(config: Mapping[str, Any], name: str) -> bool:
    """Whether the walk ends at the first time; DDPMScheduler does not look at such keys."""
    if name == "DDPMScheduler":
        return False
    if name in NEVER_CLEAN or config.get("final_sigmas_type", "zero") == "sigma_min":
        return True
    return config.get("set_alpha_to_one", name not in SHORT) is False


def _range(
    config: Mapping[str, Any], name: str
) -> tuple[float | None, list[dict[str, Any]], tuple[str, ...]]:
    """What keeps the predicted x₀ in its range: clip, corrections, and what is told of them."""
    if config.get("thresholding"):
        largest = float(config.get("sample_max_value", 1.0))
        if largest <= 1:
            return 1.0, [], ("scheduler: thresholding with sample_max_value 1 is plain clipping",)
        percentile = 100 * float(config.get("dynamic_thresholding_ratio", 0.995))
        told = f"scheduler: dynamic thresholding without the bound of sample_max_value {largest:g}"
        return None, [{"type": "dynamic_threshold", "percentile": percentile}], (told,)
    clips = config.get("clip_sample", name in CLIPPING)
    return float(config.get("clip_sample_range", 1.0)) if clips else None, [], ()


def _told(schedule: Schedule, sections: Mapping[str, Any]) -> Iterator[str]:
    sampling, prediction = sections["sampling"], sections["prediction"]
    fields = ", ".join(f"{key} {_brief(value)}" for key, value in plain(schedule).items() if key != "type")
    said = prediction if isinstance(prediction, str) else prediction["type"]
    yield f"scheduler: schedule {schedule.canonical} ({fields}), prediction {said}"
    sampler = sampling["sampler"] if isinstance(sampling["sampler"], str) else sampling["sampler"]["type"]
    yield f"scheduler: drawn from with {sampler}, {sampling['steps']} steps"
    if sampling["end"] == "first":
        yield "scheduler: the last step ends at the schedule's first time"


def _brief(value: Any) -> str:
    return f"[{len(value)} numbers]" if isinstance(value, list) else str(value)


def write_scheduler(document: Document) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The configuration of their scheduler that draws as the document says, and what it leaves unsaid.

    Raises CheckpointError for a prediction, a schedule or a spacing that theirs do not have.
    """
    sampling = document.sampling
    name, keys, told = _class(document)
    config: dict[str, Any] = {
        "_class_name": name,
        **write_schedule(document.schedule, name),
        **_prediction(document),
        "clip_sample": sampling.clip is not None,
        "clip_sample_range": 1.0 if sampling.clip is None else sampling.clip,
        "thresholding": False,
        **keys,
    }
    config.setdefault("rescale_betas_zero_snr", False)
    spacing, of_spacing = write_spacing(sampling.spacing, name)
    config |= spacing
    told += of_spacing
    if name == "DDPMScheduler":
        config["variance_type"] = document.variance.name
        return config, told
    config["set_alpha_to_one"] = sampling.end == "clean"
    if "DPMSolver" in name or "UniPC" in name or "Euler" in name:
        config["final_sigmas_type"] = "zero" if sampling.end == "clean" else "sigma_min"
    if name in NEVER_CLEAN and sampling.end == "clean":
        told += (f"end: {name} ends at the first time",)
    if sampling.clip is not None:
        told += (
            ("clipping: the same pictures come with use_clipped_model_output=True",)
            if name == "DDIMScheduler"
            else (f"clipping: {name} does not clip",)
        )
    if sampling.corrections:
        told += ("corrections: theirs has none of them",)
    return config, told


def _class(document: Document) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """Their class, the keys that make it our sampler, and what is told of it."""
    sampler, schedule = document.sampling.sampler, document.schedule
    edm, flow = isinstance(schedule, EDMSchedule), isinstance(schedule, FlowSchedule)
    found = write_sampler(sampler, table=not (edm or flow), edm=edm)
    unconditional = not document.conditioners and not (edm or flow)
    if unconditional and sampler.name != "ddpm":
        found = ("DDIMScheduler", {})  # their pipelines without conditions know these two
    if found is not None and not (unconditional and sampler.name not in ("ddim", "ddpm")):
        return (*found, ())
    stands = "EDMEulerScheduler" if edm else "FlowMatchEulerDiscreteScheduler" if flow else "DDIMScheduler"
    return stands, {}, (f"sampler {sampler.canonical}: {'an' if edm else 'a'} {stands} stands for it",)


def _prediction(document: Document) -> dict[str, Any]:
    prediction = document.prediction
    edm, flow = isinstance(document.schedule, EDMSchedule), isinstance(document.schedule, FlowSchedule)
    if edm and isinstance(prediction, EDMPrediction):
        return {"prediction_type": "epsilon", "sigma_data": prediction.sigma_data}
    if flow and prediction.name == "flow":
        return {}
    words = {ours: theirs for theirs, ours in PREDICTIONS.items() if theirs != "flow_prediction"}
    if edm or flow or prediction.name not in words:
        raise CheckpointError(f"prediction {prediction.canonical}: diffusers has no such prediction_type")
    return {"prediction_type": words[prediction.name]}

"""What is known of the published families of single-file models beside their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from diffloom.bridge.contract import AmbiguousError
from diffloom.bridge.layouts.prompts import LARGE
from diffloom.bridge.layouts.scheduler import Mathematics
from diffloom.config.plain import plain
from diffloom.errors import CheckpointError
from diffloom.process.schedules import BetaSchedule, ScaledLinearSchedule

SD_SCHEDULE = ScaledLinearSchedule(beta_start=0.00085, beta_end=0.012)
"""Of every Stable Diffusion."""


@dataclass(frozen=True, eq=False)
class Family:
    """Models that share what no weight says."""

    name: str
    image_size: int | None = None
    """Pixels of the pictures they were trained on; None where that differs."""
    scale: float | None = None
    """What latents are multiplied by; None where that differs."""
    schedule: BetaSchedule | None = None
    """For files without latent-diffusion's tables; None where it differs."""
    guidance: float = 1.0
    """The scale that they are usually drawn from with."""
    null: Literal["empty", "zeros"] = "empty"
    towers: tuple[Mapping[str, Any], ...] = ({},)
    """How each text encoder is read, as fields of its section."""
    v_too: bool = False
    """Whether some of them predict v, with the same weights' names and shapes."""


SD1 = Family("Stable Diffusion 1.x", 512, 0.18215, SD_SCHEDULE, guidance=7.5, towers=({"pad": "end"},))
SD2 = Family(
    "Stable Diffusion 2.x",
    512,
    0.18215,
    SD_SCHEDULE,
    guidance=7.5,
    towers=({"layer": "penultimate", "pooled": False},),
    v_too=True,
)
XL = Family("Stable Diffusion XL", 1024, 0.13025, SD_SCHEDULE, guidance=5.0, null="zeros", towers=LARGE)
REFINER = Family(
    "Stable Diffusion XL refiner", 1024, 0.13025, SD_SCHEDULE, guidance=5.0, null="zeros", towers=LARGE[1:]
)
LDM_TEXT = Family("latent-diffusion text-to-image", 256, 0.18215, SD_SCHEDULE, guidance=5.0)
LDM_CLASS = Family("latent-diffusion with classes", 256, guidance=3.0)
LDM = Family("latent-diffusion", 256)


def family_of(names: Iterable[str]) -> Family:
    """The family of a single file, by the names of its text encoders."""
    prefixes = {
        "conditioner.embedders.1.": XL,
        "conditioner.embedders.0.model.": REFINER,
        "cond_stage_model.model.": SD2,
        "cond_stage_model.transformer.text_model.": SD1,
        "cond_stage_model.transformer.": LDM_TEXT,
        "cond_stage_model.": LDM_CLASS,
    }
    names = tuple(names)
    found = (family for start, family in prefixes.items() if any(name.startswith(start) for name in names))
    return next(found, LDM)


def read_mathematics(
    family: Family, schedule: BetaSchedule | None, assume: Mapping[str, str], *, place: str
) -> Mathematics:
    """Schedule, prediction and sampling; `schedule` is the file's own. Raises AmbiguousError."""
    found = schedule or family.schedule
    if found is None:
        raise CheckpointError(
            f"{place}: has no tables of its schedule (betas, alphas_cumprod), which differs among {family.name} models"
        )
    prediction = assume.get("prediction") if family.v_too else "epsilon"
    if prediction not in ("epsilon", "v"):
        raise AmbiguousError(
            place,
            "networks that predict the noise and such that predict v look alike",
            {
                "prediction=epsilon": f"the noise ({family.name} base, 512 pixels)",
                "prediction=v": f"v ({family.name}, 768 pixels)",
            },
        )
    sections = {
        "schedule": plain(found),
        "prediction": prediction,
        "sampling": {
            "sampler": "ddim",
            "steps": min(50, found.steps),
            "spacing": {"type": "leading", "offset": 1},
            "end": "first",
            "clip": None,
        },
    }
    fields = ", ".join(f"{key} {value}" for key, value in plain(found).items() if key != "type")
    whence = "by the file's own tables" if schedule else f"as {family.name} has it, for want of tables"
    return Mathematics(
        sections,
        (
            f"schedule: {found.canonical} ({fields}), {whence}",
            f"prediction: {prediction}",
            "sampling: as latent-diffusion's DDIM; leading with offset 1, ending at the schedule's first time",
        ),
    )

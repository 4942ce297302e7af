"""How a scheduler draws: its sampler and the levels it visits, both ways.

Where ours and theirs take other steps under one name, `told` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from diffloom.bridge.layouts.scheduler_noise import EDMS, FLOWS, word
from diffloom.errors import CheckpointError
from diffloom.kinds import Sampler, Spacing

Section: TypeAlias = dict[str, Any]
EVEN = ("leading", "trailing", "linspace")
RATIOS = {
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta_ratio",
    "use_lu_lambdas": "log_snr_uniform",
}
"""Their switch → our spacing."""
LEADING = ("DDIMScheduler", "DDPMScheduler", "PNDMScheduler")
"""Schedulers whose spacing is leading unless they are told otherwise; that of the others is linspace."""
OPEN = (
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler"),
    *("SASolverScheduler", "UniPCMultistepScheduler"),
)
"""Schedulers that spread one time more, and leave out the cleanest."""


def _multistep(config: Mapping[str, Any]) -> Section | None:
    """DPM-Solver++ with fresh noise or without; None for the first DPM-Solver, and for what has no name here."""
    order, midpoint = config.get("solver_order", 2), config.get("solver_type", "midpoint")
    final = {"lower_order_final": config.get("lower_order_final", True)}
    algorithm = config.get("algorithm_type", "dpmsolver++")
    if algorithm == "dpmsolver++":
        named = {
            1: {"type": "ddim"},
            2: {"type": "dpmpp_2m", "solver_type": midpoint, **final},
            3: {"type": "dpmpp_3m", "solver_type": "published", **final},
        }
        return named.get(order)
    if algorithm == "sde-dpmsolver++":
        named = {
            2: {"type": "dpmpp_2m_sde", "solver_type": midpoint},
            3: {"type": "dpmpp_3m_sde", "solver_type": "published"},
        }
        return named.get(order)
    return None


def _deis(config: Mapping[str, Any]) -> Section:
    final = config.get("lower_order_final", True)
    return {"type": "deis", "solver_order": config.get("solver_order", 2), "lower_order_final": final}


def _unipc(config: Mapping[str, Any]) -> Section | None:
    if not config.get("predict_x0", True) or config.get("disable_corrector") or config.get("solver_p"):
        return None
    final = config.get("lower_order_final", True)
    kind = {"solver_type": config.get("solver_type", "bh2"), "lower_order_final": final}
    return {"type": "unipc", "solver_order": config.get("solver_order", 2), **kind}


def _plain(name: str) -> Callable[[Mapping[str, Any]], Section]:
    return lambda config: {"type": name}


SAMPLERS: Mapping[str, Callable[[Mapping[str, Any]], Section | None]] = {
    "DDIMScheduler": _plain("ddim"),
    "DDPMScheduler": _plain("ddpm"),
    "PNDMScheduler": _plain("plms"),
    "EulerDiscreteScheduler": _plain("euler"),
    "EulerAncestralDiscreteScheduler": _plain("euler_ancestral"),
    "HeunDiscreteScheduler": _plain("heun"),
    "KDPM2DiscreteScheduler": _plain("dpm2"),
    "KDPM2AncestralDiscreteScheduler": _plain("dpm2_ancestral"),
    "LMSDiscreteScheduler": _plain("lms"),
    "DEISMultistepScheduler": _deis,
    "DPMSolverMultistepScheduler": _multistep,
    "UniPCMultistepScheduler": _unipc,
    "LCMScheduler": _plain("lcm"),
    "FlowMatchEulerDiscreteScheduler": _plain("euler"),
    "FlowMatchHeunDiscreteScheduler": _plain("heun"),
    "EDMEulerScheduler": _plain("euler"),
    "EDMDPMSolverMultistepScheduler": _multistep,
}
"""Their class → our sampler; the first that gives a sampler is what stands for it in their folders."""


def read_sampler(config: Mapping[str, Any]) -> tuple[Section, tuple[str, ...]]:
    """Our sampler, and what is told of it: ddim stands for those that we do not have."""
    name = str(config.get("_class_name", "a scheduler"))
    read = SAMPLERS.get(name)
    section = None if read is None else read(config)
    if section is None:
        return {"type": "ddim"}, (f"scheduler: {name} is drawn from with ddim, which stands for it",)
    told = []
    if name == "PNDMScheduler" and not config.get("skip_prk_steps"):
        told.append("scheduler: plms starts with one call more, and not with the Runge-Kutta steps of theirs")
    if name == "LCMScheduler":
        told.append("scheduler: theirs visits times of a grid of 50; say which as spacing `explicit`")
    if config.get("stochastic_sampling"):
        told.append("scheduler: stochastic_sampling is left out")
    if abs(config.get("lambda_min_clipped", -float("inf"))) != float("inf"):
        told.append("scheduler: lambda_min_clipped is left out; theirs starts later where it bites")
    return section, tuple(told)


def read_spacing(config: Mapping[str, Any], place: str) -> tuple[Section, tuple[str, ...]]:
    """Our spacing, and what is told of it. Raises CheckpointError for one we do not have."""
    name = str(config.get("_class_name", "a scheduler"))
    if name in EDMS:
        kind = word(config, "sigma_schedule", "karras", ("karras", "exponential"), place)
        return {"type": kind, **({"rho": float(config.get("rho", 7.0))} if kind == "karras" else {})}, ()
    if name in FLOWS:
        told = "scheduler: networks of a flow are shown 1000·t there and t here: backbone.time_scale is 1000"
        return {"type": "linspace"}, (told,)
    default = "leading" if name in LEADING or name not in SAMPLERS else "linspace"
    even = word(config, "timestep_spacing", default, EVEN, place)
    for switch, kind in RATIOS.items():
        if config.get(switch):
            ends = {key: config[key] for key in ("sigma_min", "sigma_max") if config.get(key) is not None}
            whose = f"scheduler: the ends of {kind} are the schedule's; theirs are those of its {even} times"
            return {"type": kind, **ends}, () if even == "linspace" or name in OPEN else (whose,)
    section: Section = {"type": even}
    if even == "leading":
        section["offset"] = config.get("steps_offset", 0)
    if even != "trailing" and name in OPEN:
        section["endpoint"] = False
    fractions = even == "linspace" and name not in (*LEADING, *OPEN)
    told = "scheduler: theirs visits fractional times; linspace rounds them"
    return section, (told,) if fractions else ()


def write_sampler(sampler: Sampler, *, table: bool, edm: bool) -> tuple[str, dict[str, Any]] | None:
    """Their class and the keys that say this sampler; None where they have none."""
    fields = {key: getattr(sampler, key) for key in type(sampler).model_fields}
    for name in SAMPLERS:
        if (name in FLOWS, name in EDMS) != (not table and not edm, edm):
            continue
        for keys in _choices(name, fields):
            read = SAMPLERS[name](keys)
            if read is not None and read["type"] == sampler.name and _says(read, sampler):
                return name, keys
    return None


def _choices(name: str, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Keys of this class by which it may be this sampler."""
    kept = {k: v for k, v in fields.items() if k in ("solver_order", "solver_type", "lower_order_final")}
    if name in ("DPMSolverMultistepScheduler", "EDMDPMSolverMultistepScheduler"):
        kind = "midpoint" if kept.get("solver_type") in (None, "published") else kept["solver_type"]
        return [
            {**kept, "solver_order": order, "solver_type": kind, "algorithm_type": algorithm}
            for algorithm in ("dpmsolver++", "sde-dpmsolver++")
            for order in (2, 3)
        ]
    if name == "PNDMScheduler":
        return [{"skip_prk_steps": True}]
    return [kept if name in ("DEISMultistepScheduler", "UniPCMultistepScheduler") else {}]


def _says(section: Section, sampler: Sampler) -> bool:
    """Whether a section is this very sampler."""
    given = {key: value for key, value in section.items() if key != "type"}
    return type(sampler)(**given) == sampler


def write_spacing(spacing: Spacing, scheduler: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The keys that say this spacing. Raises CheckpointError for one that theirs do not have."""
    name = spacing.name
    refused = CheckpointError(f"spacing {spacing.canonical}: diffusers' {scheduler} has no such spacing")
    fields = {key: getattr(spacing, key) for key in type(spacing).model_fields}
    if scheduler in EDMS:
        if name not in ("karras", "exponential") or fields["sigma_min"] or fields["sigma_max"]:
            raise refused
        return {"sigma_schedule": name, "rho": fields.get("rho", 7.0)}, ()
    if scheduler in FLOWS:
        if name != "linspace":
            raise refused
        return {}, ()
    if name in EVEN:
        shows = name == "trailing" or fields["endpoint"] == (scheduler not in OPEN)
        does = "leaves out" if scheduler in OPEN else "visits"
        told = f"spacing {spacing.canonical}: theirs {does} the cleanest time"
        return {"timestep_spacing": name, "steps_offset": fields.get("offset", 0)}, () if shows else (told,)
    switch = next((key for key, kind in RATIOS.items() if kind == name), None)
    usual = all(getattr(spacing, key) == field.default for key, field in type(spacing).model_fields.items())
    if (
        switch is None
        or not usual
        or scheduler in (*LEADING, "EulerAncestralDiscreteScheduler", "LCMScheduler")
    ):
        raise refused
    if switch == "use_lu_lambdas" and scheduler != "DPMSolverMultistepScheduler":
        raise refused
    return {switch: True, "timestep_spacing": "linspace", "steps_offset": 0}, ()

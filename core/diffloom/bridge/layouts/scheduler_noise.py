"""What a scheduler's configuration says of noise and of the network's output: schedule and prediction, both ways."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError

from diffloom.bridge.layouts.tables import betas_of, schedule_of
from diffloom.errors import CheckpointError
from diffloom.kinds import Prediction, Schedule
from diffloom.process import (
    BetasSchedule,
    CosineSchedule,
    EDMPrediction,
    EDMSchedule,
    ExponentialSchedule,
    FlowSchedule,
    LaplaceSchedule,
    LinearSchedule,
    ScaledLinearSchedule,
    SigmoidBetaSchedule,
    SizeShift,
    ZeroTerminalSNRSchedule,
)

PREDICTIONS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v", "flow_prediction": "flow"}
"""Their `prediction_type` → our prediction."""
ENDS = {"linear": LinearSchedule, "scaled_linear": ScaledLinearSchedule, "sigmoid": SigmoidBetaSchedule}
"""Their `beta_schedule` → ours, of those with `beta_start` and `beta_end`."""
FIXED = {
    "squaredcos_cap_v2": CosineSchedule(),
    "laplace": LaplaceSchedule(rooted=True),
    "exp": ExponentialSchedule(),
}
"""Their `beta_schedule` → ours, of those that have no more to say than T."""
FLOWS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
EDMS = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")
RESCALING = ("DDIMScheduler", "DDPMScheduler")
"""Schedulers that end without any signal with `rescale_betas_zero_snr`; the others keep 2⁻²⁴ of it."""
REFUSED = {
    "invert_sigmas": "a flow from noise to data",
    "shift_terminal": "a flow stretched to an end of its own",
    "use_flow_sigmas": "a flow on the times of a table",
}
"""Switches that make another process, and what they switch on."""


def refuse(place: str, switch: str, what: str) -> CheckpointError:
    """The refusal of a process that we do not have."""
    return CheckpointError(
        f"{place}: {switch}: this model needs {what}, which diffloom does not have; nothing was loaded"
    )


def read_noise(config: Mapping[str, Any], *, place: str) -> tuple[Schedule, str | Prediction]:
    """Schedule and prediction. Raises CheckpointError for a process that we do not have."""
    name = str(config.get("_class_name", "this scheduler"))
    for switch, what in REFUSED.items():
        if config.get(switch):
            raise refuse(place, switch, what)
    if config.get("timestep_type") == "continuous":
        raise refuse(place, "timestep_type", "a table whose network is shown ln(sigma)/4")
    if config.get("snr_shift_scale", 1.0) != 1.0:
        raise refuse(place, "snr_shift_scale", "a table with a part of its signal")
    if name in FLOWS:
        return _flow(config, place), "flow"
    if name in EDMS:
        if config.get("prediction_type", "epsilon") != "epsilon":
            raise refuse(place, "prediction_type", "EDM's preconditioning with the sign turned")
        ends = {key: float(config[key]) for key in ("sigma_min", "sigma_max")}
        return EDMSchedule(**ends), EDMPrediction(sigma_data=float(config["sigma_data"]))
    prediction = PREDICTIONS[word(config, "prediction_type", "epsilon", PREDICTIONS, place)]
    schedule = _table(config, place)
    if config.get("rescale_betas_zero_snr"):
        return ZeroTerminalSNRSchedule(schedule=schedule), prediction
    return schedule, prediction


def _flow(config: Mapping[str, Any], place: str) -> FlowSchedule:
    least = 1 / config.get("num_train_timesteps", 1000)
    if not config.get("use_dynamic_shifting"):
        shift = float(config.get("shift", 1.0))
        first = _shifted(_shifted(least, shift), shift)  # theirs shifts its cleanest time twice
        return FlowSchedule(first=first, shift=shift)
    if config.get("time_shift_type", "exponential") != "exponential":
        raise refuse(place, "time_shift_type", "a shift by μ itself")
    rule = SizeShift(
        rule="linear",
        base=float(config.get("base_shift", 0.5)),
        max=float(config.get("max_shift", 1.15)),
        base_tokens=config.get("base_image_seq_len", 256),
        max_tokens=config.get("max_image_seq_len", 4096),
    )
    return FlowSchedule(first=least, shift=rule)


def _shifted(time: float, shift: float) -> float:
    return shift * time / (1 + (shift - 1) * time)


def _table(config: Mapping[str, Any], place: str) -> Schedule:
    length = config.get("num_train_timesteps", 1000)
    if (betas := config.get("trained_betas")) is not None:
        return _given(betas, place)
    if "beta_schedule" not in config:
        raise CheckpointError(
            f"{place}: {config.get('_class_name', 'this scheduler')} says no beta_schedule, and diffloom has no "
            "schedule of its kind; nothing was loaded"
        )
    name = word(config, "beta_schedule", "", (*ENDS, *FIXED), place)
    if name in FIXED:
        return FIXED[name].model_copy(update={"steps": length})
    return ENDS[name](
        steps=length, beta_start=float(config["beta_start"]), beta_end=float(config["beta_end"])
    )


def _given(betas: Any, place: str) -> Schedule:
    """The schedule with these betas that has a name, or they themselves."""
    try:
        return schedule_of({"betas": torch.tensor(betas, dtype=torch.float32)}, place=place)
    except CheckpointError:
        try:
            return BetasSchedule(values=tuple(map(float, betas)))
        except ValidationError as error:
            told = error.errors()[0]["msg"]
            raise CheckpointError(f"{place}: trained_betas: {told}; nothing was loaded") from None


def word(config: Mapping[str, Any], key: str, default: str, known: Any, place: str) -> str:
    """One of the known words. Raises CheckpointError for any other."""
    said = config.get(key) or default  # null is their word for nothing said
    if said not in known:
        raise CheckpointError(f"{place}: {key} {said!r} is none of {', '.join(known)}; nothing was loaded")
    return str(said)


def write_schedule(schedule: Schedule, scheduler: str) -> dict[str, Any]:
    """The keys that say this schedule. Raises CheckpointError for one that theirs do not have."""
    if isinstance(schedule, FlowSchedule) and scheduler in FLOWS:
        return _write_flow(schedule)
    if isinstance(schedule, EDMSchedule) and scheduler in EDMS:
        return {"sigma_min": schedule.sigma_min, "sigma_max": schedule.sigma_max}
    count = schedule.axis.count
    if count is None:
        raise CheckpointError(
            f"schedule {schedule.canonical}: {scheduler} has a table, and this schedule has none"
        )
    length = {"num_train_timesteps": count}
    if isinstance(schedule, ZeroTerminalSNRSchedule) and scheduler in RESCALING:
        return {**write_schedule(schedule.schedule, scheduler), "rescale_betas_zero_snr": True}
    if isinstance(schedule, LinearSchedule | ScaledLinearSchedule):
        ends = {"beta_start": schedule.beta_start, "beta_end": schedule.beta_end}
        return {"beta_schedule": schedule.name, **ends, **length}
    if schedule == CosineSchedule(steps=count):  # the others are known to some schedulers only
        return {"beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "beta_end": 0.02, **length}
    built = schedule.build()
    times = torch.arange(count, dtype=torch.float64)
    power = built.alpha(times) ** 2 + built.sigma(times) ** 2
    if not torch.allclose(power, torch.ones_like(power)):
        raise CheckpointError(f"schedule {schedule.canonical}: diffusers' tables preserve the variance")
    return {"beta_schedule": "linear", "trained_betas": betas_of(built).tolist(), **length}


def _write_flow(schedule: FlowSchedule) -> dict[str, Any]:
    if isinstance(schedule.shift, SizeShift):
        rule = schedule.shift
        if rule.rule != "linear" or rule.patch != 2:
            raise CheckpointError("schedule diffloom/flow: their shift by size is linear, of patches of 2")
        return {
            "num_train_timesteps": round(1 / schedule.first),
            "use_dynamic_shifting": True,
            "base_shift": 0.5 if rule.base is None else rule.base,
            "max_shift": rule.max,
            "base_image_seq_len": rule.base_tokens,
            "max_image_seq_len": rule.max_tokens,
        }
    square = schedule.shift**2  # two shifts are one by their product
    least = schedule.first / (square - (square - 1) * schedule.first)
    if not math.isclose(1 / least, round(1 / least), rel_tol=1e-6):
        raise CheckpointError(
            f"schedule diffloom/flow: first {schedule.first:g} is no whole part of 1 once the shift is taken off twice"
        )
    return {"num_train_timesteps": round(1 / least), "shift": schedule.shift}

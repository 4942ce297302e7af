"""Tables of noise that programs keep instead of their schedule's name. Legend: T times, ᾱ the share of signal."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from diffloom.errors import CheckpointError
from diffloom.kinds import NoiseSchedule
from diffloom.process.schedules import BetaSchedule, LinearSchedule, ScaledLinearSchedule
from diffloom.process.signal_schedules import CosineSchedule

TABLES = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
)
"""What latent-diffusion keeps in every checkpoint, by its names."""
STEEPEST = 0.5
"""No linear schedule ends with a larger β; over many times ᾱ would vanish."""
ROUNDINGS = 16
"""How many of its type's roundings a stored number may be off by."""


def schedule_of(tables: Mapping[str, Tensor], *, place: str) -> BetaSchedule:
    """Which schedule these tables (T,) are of, named as latent-diffusion names them; `betas`, or `alphas_cumprod`.

    The ends of a linear one are taken to three digits, as people write them. Raises CheckpointError when no schedule
    has them all, as precisely as their type can say it.
    """
    key = "betas" if "betas" in tables else "alphas_cumprod"
    fitting = [
        s for s in _candidates(key, tables[key].double()) if close(tables[key], ldm_tables(s.build())[key])
    ]
    if not fitting:
        table = tables[key].double()
        raise CheckpointError(
            f"{place}: its table of noise, {key} from {table[0]:.6g} to {table[-1]:.6g} in {len(table)} times, is "
            "none of linear, scaled_linear and cosine; nothing was loaded"
        )
    ours = ldm_tables(fitting[0].build())
    odd = [name for name, table in tables.items() if not close(table, ours[name])]
    if odd:
        raise CheckpointError(f"{place}: its {', '.join(odd)} contradict its {key}; nothing was loaded")
    return fitting[0]


def _candidates(key: str, table: Tensor) -> list[BetaSchedule]:
    """Schedules with the ends of this table."""
    length = len(table)
    cosine = CosineSchedule(steps=length)
    if key == "alphas_cumprod":
        table = 1 - table / torch.cat([torch.ones(1, dtype=torch.float64), table[:-1]])
    first, last = (float(f"{beta:.3g}") for beta in table[[0, -1]].tolist())
    if not 0 < first <= last < STEEPEST:
        return [cosine]
    return [
        LinearSchedule(steps=length, beta_start=first, beta_end=last),
        ScaledLinearSchedule(steps=length, beta_start=first, beta_end=last),
        cosine,
    ]


def signal_of(schedule: NoiseSchedule) -> Tensor:
    """ᾱ (T,) in float64."""
    count = schedule.axis.count
    assert count is not None, "only schedules with tables come here"
    return schedule.alpha(torch.arange(count, dtype=torch.float64)) ** 2


def betas_of(schedule: NoiseSchedule) -> Tensor:
    """The one-step variances β (T,) of a variance-preserving schedule in float64."""
    table = signal_of(schedule)
    return 1 - table / torch.cat([torch.ones(1, dtype=torch.float64), table[:-1]])


def close(theirs: Tensor, ours: Tensor) -> bool:
    """Whether a stored table is ours up to the roundings of its type."""
    kind = torch.finfo(theirs.dtype)
    return theirs.shape == ours.shape and torch.allclose(
        theirs.double(), ours.double(), rtol=ROUNDINGS * kind.eps, atol=max(kind.smallest_normal, 1e-20)
    )


def ldm_tables(schedule: NoiseSchedule) -> dict[str, Tensor]:
    """latent-diffusion's tables in float32 (Ho et al. 2020, eq. 4 to 7)."""
    betas, alphas_cumprod = betas_of(schedule), signal_of(schedule)
    previous = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod[:-1]])
    noise = 1 - alphas_cumprod
    variance = betas * (1 - previous) / noise  # eq. 7
    tables = (
        betas,
        alphas_cumprod,
        previous,
        alphas_cumprod.sqrt(),
        noise.sqrt(),
        noise.log(),
        (1 / alphas_cumprod).sqrt(),
        (1 / alphas_cumprod - 1).sqrt(),
        variance,
        variance.clamp(min=1e-20).log(),  # at time 0 it is 0, and this the smallest number they keep
        betas * previous.sqrt() / noise,
        (1 - previous) * (1 - betas).sqrt() / noise,
    )
    return {name: table.float() for name, table in zip(TABLES, tables, strict=True)}

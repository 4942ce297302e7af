"""The trajectory that all others are measured against: a long one of the same model from the same noise."""

from __future__ import annotations

from dataclasses import dataclass

from diffloom.config import Document
from diffloom.errors import ConfigError, DiffloomError
from diffloom.inspection.candidates import with_sampler
from diffloom.inspection.contest import Contest, Run
from diffloom.inspection.distance import path_error
from diffloom.kinds import Sampler
from diffloom.registry import Registry

SAMPLERS = ("heun", "dpm2", "ddim")
"""Samplers that remember no earlier step, so that nothing but step size limits them; the first that suits is taken."""
LONGER = 16
"""How many times more steps than the largest budget the reference has, unless told."""
SPACING = "trailing"
"""What it falls back on where the model's own spacing has no grid so long."""


@dataclass(frozen=True)
class Reference:
    """The long walk."""

    run: Run
    spacing: str | None
    """Where it is not the model's own."""
    uncertainty: float
    """How far off half as many steps are, as `path_error`: smaller errors than this say nothing. Where the spacing has
    a cleanest level of its own, the jump from there is no error of any sampler, and not in it."""


def walked_reference(
    contest: Contest, document: Document, *, steps: int | None, longest: int, registry: Registry
) -> Reference:
    """The reference for budgets of up to `longest` steps. Raises DiffloomError where no sampler can give one."""
    sampler = _sampler(document, registry)
    many = steps or LONGER * longest
    if steps is None and (count := document.schedule.axis.count) is not None:
        many = min(many, count)
    if many <= longest:
        raise DiffloomError(
            f"--reference-steps: {many} steps are no reference for walks of {longest}; give more, or smaller --steps"
        )
    spacing = _spacing(document, many)
    whole = contest.run(sampler, steps=many, spacing=spacing)
    half = contest.run(sampler, steps=many // 2, spacing=_spacing(document, many // 2))
    return Reference(whole, spacing, path_error(half.samples_BD, whole.samples_BD))


def _sampler(document: Document, registry: Registry) -> Sampler:
    reasons = []
    for name in SAMPLERS:
        try:
            sampler = with_sampler(document, name, registry=registry).sampling.sampler
        except ConfigError as error:
            reasons.append(f"{name}: {'; '.join(problem.message for problem in error.problems)}")
            continue
        if not sampler.stochastic:
            return sampler
        reasons.append(f"{name}: draws noise, as this model configures it")
    raise DiffloomError("no sampler can walk the reference trajectory: " + "; ".join(reasons))


def _spacing(document: Document, steps: int) -> str | None:
    try:
        document.sampling.spacing.check(axis=document.schedule.axis, steps=steps)
    except ValueError:
        return SPACING
    return None

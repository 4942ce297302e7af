"""The one call: every component of a distribution, by the laws of its kind."""

from __future__ import annotations

import reprlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diffloom.errors import PluginError
from diffloom.kinds import Component
from diffloom.plugins import load_plugins
from diffloom.registry import did_you_mean
from diffloom.testing import (
    attention,
    backbone,
    caching,
    conditioner,
    correction,
    criterion,
    data,
    ema,
    general,
    guidance,
    lr_schedule,
    objective,
    optimizer,
    pairing,
    prediction,
    sampler,
    schedule,
    space,
    spacing,
    timing,
    tracker,
    variance,
    weighting,
)
from diffloom.testing.checks import Check, run
from diffloom.testing.imports import torch_at_import
from diffloom.testing.report import Failure, NonConformityError, Report

LAWS: dict[str, tuple[Check, ...]] = {
    "space": space.CHECKS,
    "conditioner": conditioner.CHECKS,
    "backbone": backbone.CHECKS,
    "attention": attention.CHECKS,
    "schedule": schedule.CHECKS,
    "prediction": prediction.CHECKS,
    "variance": variance.CHECKS,
    "objective": objective.CHECKS,
    "weighting": weighting.CHECKS,
    "timing": timing.CHECKS,
    "pairing": pairing.CHECKS,
    "criterion": criterion.CHECKS,
    "sampler": sampler.CHECKS,
    "spacing": spacing.CHECKS,
    "guidance": guidance.CHECKS,
    "correction": correction.CHECKS,
    "caching": caching.CHECKS,
    "data": data.CHECKS,
    "optimizer": optimizer.CHECKS,
    "lr_schedule": lr_schedule.CHECKS,
    "ema": ema.CHECKS,
    "tracker": tracker.CHECKS,
}
"""The laws of each kind; those of `general` hold for all."""


def conformance(distribution: str, *, files: Sequence[str] = ()) -> Report:
    """Examine every component that a distribution registers.

    `files` are plugin files, as `-p` loads them; the distribution of `my_plugin.py` is `my-plugin`. Raises
    NonConformityError, an AssertionError that lists every failure, and PluginError when there is no such distribution.
    """
    plugins = load_plugins(tuple(files))
    components = list(
        plugins.registry.of_distribution(distribution)
    )  # what is broken is known after their import
    broken = [q for q in plugins.registry.quarantined if q.distribution == distribution]
    if distribution not in plugins.registry.versions and not broken:
        hint = (
            did_you_mean(distribution, plugins.registry.versions) or "; is it installed, with an entry point?"
        )
        raise PluginError(f"no plugin distribution is called {distribution!r}{hint}")
    failures = [
        Failure(distribution, "loads", f"plugin {q.entry_point} is broken: {q.reason}") for q in broken
    ]
    examined: list[str] = []
    checks = 1
    modules = [*plugins.modules.get(distribution, []), *(sys.modules[c.__module__] for c in components)]
    torch_failure = torch_at_import(distribution, list(dict.fromkeys(modules)))
    failures += [torch_failure] if torch_failure else []
    for component in components:
        for label, count, found in _examined(component):
            examined.append(label)
            checks += count
            failures += found
    if failures:
        raise NonConformityError(distribution, failures)
    return Report(distribution, tuple(examined), checks)


def check_component(component: type[Component], **fields: Any) -> list[Failure]:
    """The laws that one component class breaks, registered or not.

    With fields, that one configuration is examined; without, the class's `specimens`.
    """
    configurations = [component(**fields)] if fields else None
    return [failure for _, _, found in _examined(component, configurations) for failure in found]


def _examined(
    component: type[Component], configurations: list[Component] | None = None
) -> Iterator[tuple[str, int, list[Failure]]]:
    """Each configuration's label, how many checks it went through, and those that failed."""
    title = f"{component.kind} {component.canonical or component.name}"
    with tempfile.TemporaryDirectory(prefix="diffloom-") as folder:
        if configurations is None:
            try:
                configurations = list(component.specimens(Path(folder)))
            except (
                Exception
            ) as error:  # pydantic's, for a required field; anything, from an author's own method
                reason = (
                    f"specimens() raised {type(error).__name__}: {error}; override it to give configurations"
                )
                yield title, 1, [Failure(title, "has_specimens", reason)]
                return
        for configuration in configurations:
            label = f"{title}({_fields(configuration)})"
            laws = (*general.CHECKS, *LAWS[component.kind])
            yield label, len(laws), [f for law in laws if (f := run(law, configuration, label)) is not None]


def _fields(component: Component) -> str:
    """The fields that are not at their defaults."""
    return ", ".join(
        f"{name}={reprlib.repr(getattr(component, name))}" for name in sorted(component.model_fields_set)
    )

"""Every part that is registered, in every configuration that the conformance kit examines.

A test that asks for `flow_solver`, `stochastic`, `any_sampler`, `any_schedule` or `any_spacing` runs once for each;
what is registered later is examined without a line here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from diffloom.plugins import load_registry
from diffloom.registry import Registry
from diffloom.testing.oracle import GaussianMixture

FILES = tempfile.TemporaryDirectory(prefix="diffloom-")
"""Where parts that read files find them."""


@cache
def registered() -> Registry:
    registry = load_registry()
    assert [plugin for plugin in registry.quarantined if plugin.distribution == "diffloom"] == []
    return registry


@cache
def specimens_of(kind: str) -> list[Any]:
    """diffloom's own, by name; where the kit examines none, as it is by default, or painting all of 2×2 pixels.

    The kit's adaptive solver is right to 1e-8, and a network that is shown t in float32 is not as smooth as that.
    """
    folder = Path(FILES.name)
    found = []
    for part in registered().of_kind(kind):
        if part.canonical == "diffloom/repaint":
            fields: dict[str, Any] = {**black_pictures(folder), "jump_length": 2, "jump_n_sample": 2}
            found.append(part(**fields))
        elif part.canonical == f"diffloom/{part.name}":
            found += (list(part.specimens(folder)) if part.name != "ode" else []) or [part()]
    return found


def black_pictures(folder: Path) -> dict[str, str]:
    """A picture, and a mask that keeps nothing of it."""
    paths = {name: str(folder / f"{name}.png") for name in ("picture", "mask")}
    for path in paths.values():
        Image.new("L", (2, 2)).save(path)
    return paths


DRAWN_ELSEWHERE = {
    "lcm": "it takes the denoiser's answer for a sample, as that of a consistency model is",
    "repaint": "its picture has one size; with nothing kept it is in the product, with something kept in its own tests",
}
"""Stochastic samplers whose samples are not the data's here, and why."""
EACH: dict[str, Callable[[], list[Any]]] = {
    "any_sampler": lambda: specimens_of("sampler"),
    "flow_solver": lambda: [item for item in specimens_of("sampler") if item.order is not None],
    "stochastic": lambda: [
        item for item in specimens_of("sampler") if item.stochastic and item.name not in DRAWN_ELSEWHERE
    ],
    "any_schedule": lambda: specimens_of("schedule"),
    "any_prediction": lambda: specimens_of("prediction"),
    "any_spacing": lambda: specimens_of("spacing"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture in [name for name in EACH if name in metafunc.fixturenames]:  # one order in every process
        items = EACH[fixture]()
        names = [item.name for item in items]
        ids = [f"{name}{names[:place].count(name) or ''}" for place, name in enumerate(names)]
        metafunc.parametrize(fixture, items, ids=ids)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All that is installed; a broken plugin of ours is a failure here."""
    return registered()


@pytest.fixture(scope="session")
def specimens() -> Callable[[str], list[Any]]:
    """All configurations of a kind."""
    return specimens_of


@pytest.fixture(scope="session")
def three_modes() -> GaussianMixture:
    """Three Gaussians on a line, which touch each other: nothing about them is symmetric, and their flow is exact."""
    return GaussianMixture(
        means_JCHW=torch.tensor([-0.5, 0.2, 0.6], dtype=torch.float64).view(-1, 1, 1, 1),
        stds_J=torch.full((3,), 0.25, dtype=torch.float64),
        weights_J=torch.full((3,), 1 / 3, dtype=torch.float64),
        classes_J=torch.zeros(3, dtype=torch.int64),
    )

"""Mixtures on a line and in four pixels."""

from __future__ import annotations

import pytest

from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom.plugins import load_registry
from diffloom.registry import Registry
from diffloom.testing.oracle import GaussianMixture, Oracle


@pytest.fixture(scope="session")
def registry() -> Registry:
    """All that is installed."""
    return load_registry()


@pytest.fixture(scope="session")
def line() -> GaussianMixture:
    """One pixel, two classes, of two Gaussians and of one, with unequal shares."""
    oracle = Oracle(means=((-0.8, 0.3), (0.7,)), shares=((1.0, 2.0), (3.0,)), std=0.2)
    return oracle.mixture(space=SpaceInfo(channels=1, height=1, width=1), condition=ConditionInfo(classes=3))


@pytest.fixture(scope="session")
def pictures() -> GaussianMixture:
    """2×2 pixels in two channels, three classes of two Gaussians."""
    return Oracle(spread=0.7, std=0.4).mixture(
        space=SpaceInfo(channels=2, height=2, width=2), condition=ConditionInfo(classes=4)
    )

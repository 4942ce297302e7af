"""The repository as its own tests read it."""

from pathlib import Path

import pytest

from diffloom.plugins import load_registry
from diffloom.registry import Registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every installed component; a broken plugin of ours is a failure here."""
    registry = load_registry()
    assert [plugin for plugin in registry.quarantined if plugin.distribution == "diffloom"] == []
    return registry

"""What is installed is what is written. Oracle: pyproject.toml, constraints.txt and the installation's own
metadata."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pinned():
    """Distribution → tested version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {}
    for pin in pins:
        (version,) = pin.specifier
        assert version.operator == "=="
        assert "+" not in version.version, f"{pin}: a local build is on no package index"
        versions[canonicalize_name(pin.name)] = version.version
    assert len(versions) == len(pins)
    return versions


def direct():
    """Every direct dependency, the extras' included."""
    extras = PROJECT["optional-dependencies"].values()
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    requirements = [Requirement(text) for text in texts]
    return [item for item in requirements if item.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_the_tested_version_is_within_the_promised_range(requirement, pinned):
    assert pinned[canonicalize_name(requirement.name)] in requirement.specifier


def test_everything_reached_is_pinned(pinned):
    """Walk from the direct dependencies that are installed here to all that they need."""
    seen: set[str] = set()
    waiting = direct()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that this environment does not have
        if name in seen or re.match(r"nvidia|cuda|triton", name):
            continue
        seen.add(name)
        needed = [Requirement(text) for text in needs]
        extras = requirement.extras or {""}
        waiting += [n for n in needed if not n.marker or any(n.marker.evaluate({"extra": e}) for e in extras)]
    assert len(seen) > 30
    assert seen - pinned.keys() == set(), "write constraints.txt anew"

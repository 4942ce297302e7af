"""A scratch environment with diffloom's built wheel and nothing of this checkout; packages are added by pip."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACME = Path(__file__).parent / "acme-moon"
collect_ignore = ["acme-moon"]  # its own tests run where it is installed


@dataclass(frozen=True)
class Scratch:
    """A virtual environment."""

    python: Path

    def run(self, *words: object, cwd: Path, fails: bool = False) -> str:
        """Run python with these words; its output. Fails the test unless it ends as expected."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
        result = subprocess.run(
            [self.python, *map(str, words)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = result.stdout + result.stderr
        assert bool(result.returncode) == fails, (
            f"{' '.join(map(str, words))}: exit {result.returncode}\n{output}"
        )
        return output

    def install(self, package: Path) -> None:
        """pip install, without dependencies: those are the outer environment's."""
        options = ("-q", "--no-deps", "--no-build-isolation", "--no-index")
        self.run("-m", "pip", "install", *options, package, cwd=package.parent)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """The environment. The outer one's packages follow its own on sys.path, so torch is not installed again.

    A path file inside a path file's folder is not read, so an editable diffloom of the outer one stays outside.
    """
    folder = tmp_path_factory.mktemp("scratch")
    wheels = folder / "wheels"
    build = [
        sys.executable,
        *["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w"],
    ]
    subprocess.run([*build, wheels, ROOT], check=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    places = sysconfig.get_paths(vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")})
    outer = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(places["purelib"]) / "outer.pth").write_text("\n".join(sorted(outer)) + "\n")
    environment = Scratch(Path(places["scripts"]) / "python")
    (wheel,) = wheels.glob("diffloom-*.whl")
    environment.install(wheel)
    return environment


@pytest.fixture(scope="session")
def acme_moon(scratch: Scratch) -> Callable[..., str]:
    """Runs python where acme-moon is installed."""
    scratch.install(ACME)
    return scratch.run

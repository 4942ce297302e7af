"""Naming the process's components costs no torch; the public names are there when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import diffloom.process


def test_registering_does_not_import_torch() -> None:
    code = (
        "import sys, diffloom.process.plugin, diffloom.process\n"
        "from diffloom.process import LinearSchedule, VPrediction, FixedSmallVariance\n"
        "assert LinearSchedule(steps=5).axis.count == 5\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", diffloom.process.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(diffloom.process, name) is not None
    assert name in dir(diffloom.process)


def test_the_public_list_is_the_lazy_one() -> None:
    assert sorted(diffloom.process.__all__) == dir(diffloom.process)


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="Linaer"):
        diffloom.process.Linaer  # noqa: B018

"""The one call, on distributions as pip leaves them, and on our own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diffloom.errors import PluginError
from diffloom.plugins import load_plugins
from diffloom.testing import NonConformityError, conformance

GOOD = """
from diffloom import hookimpl
from diffloom.kinds import Spacing
{extra}

class Even(Spacing):
    \"\"\"Evenly spaced.\"\"\"
    name = "even"

    def levels(self, schedule, *, steps):
        shares = [(steps - i - 0.5) / steps for i in range(steps)]
        return {sequence}(schedule.levels([schedule.axis.at(share) for share in shares])[:-1])

@hookimpl
def diffloom_register(registrar):
    registrar.add(Even)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Puts a distribution of one module on sys.path; load_plugins() forgets what it knew, before and after."""
    before = set(sys.modules)

    def put(distribution: str, text: str) -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[diffloom.plugins]\nmain = {module}\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    load_plugins.cache_clear()
    yield put
    load_plugins.cache_clear()
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


ELSEWHERE = {"sampler diffloom/repaint", "optimizer diffloom/adamw_8bit"}
"""The first in tests/plugins/sde/test_repaint.py: the kit's samples have many shapes, and a picture has one. The second
where bitsandbytes is installed."""


def test_everything_of_ours_conforms() -> None:
    """Every configuration of every component that diffloom ships."""
    report = conformance("diffloom")
    examined = {label.partition("(")[0] for label in report.components}
    registered = {
        f"{kind} {name}" for kind, name in load_plugins().registry.components if name.startswith("diffloom/")
    }
    assert examined | ELSEWHERE == registered
    assert report.checks > 250


def test_a_good_distribution_is_reported(install: Callable[[str, str], None]) -> None:
    install("acme-good", GOOD.format(extra="", sequence="tuple"))
    report = conformance("acme-good")
    assert report.components == ("spacing acme-good/even()",)
    assert str(report) == f"acme-good: 1 configuration, {report.checks} checks, all passed"


def test_torch_at_import_is_caught_where_it_is_imported(
    install: Callable[[str, str], None], tmp_path: Path
) -> None:
    """The culprit is named even where torch was imported before, as it is in this process."""
    install("acme-heavy", GOOD.format(extra="import acme_heavy_inner", sequence="tuple"))
    (tmp_path / "acme_heavy_inner.py").write_text("x = 1\nfrom torch import nn\n")
    with pytest.raises(NonConformityError, match="imports_without_torch") as caught:
        conformance("acme-heavy")
    assert f"in {tmp_path / 'acme_heavy_inner.py'}:2; import it inside build()" in str(caught.value)
    assert len(caught.value.failures) == 1, "it loads, and is otherwise sound"


def test_every_failure_is_listed_at_once(install: Callable[[str, str], None]) -> None:
    install("acme-bad", GOOD.format(extra="import torch", sequence="list"))
    with pytest.raises(AssertionError) as caught:
        conformance("acme-bad")
    lines = str(caught.value).splitlines()
    assert lines[0] == "acme-bad has 2 failures:"
    assert "imports_without_torch" in lines[1]
    assert "spacing acme-bad/even(): gives_levels_that_fall: expected" in lines[2]


def test_a_quarantined_plugin_fails_with_its_reason(install: Callable[[str, str], None]) -> None:
    install("acme-broken", "import no_such_package")
    with pytest.raises(NonConformityError, match="loads: plugin main is broken: ModuleNotFoundError"):
        conformance("acme-broken")


LAZY = """
from diffloom import hookimpl

@hookimpl
def diffloom_register(registrar):
    registrar.add_lazily("spacing", even="{module}:Even")
"""


def test_what_is_registered_by_name_is_examined_as_if_imported(
    install: Callable[[str, str], None], tmp_path: Path
) -> None:
    """Its module, too, may not import torch, and is held to be importable."""
    (tmp_path / "acme_lazy_part.py").write_text(GOOD.format(extra="import torch", sequence="tuple"))
    install("acme-lazy", LAZY.format(module="acme_lazy_part"))
    with pytest.raises(NonConformityError, match="imports torch") as caught:
        conformance("acme-lazy")
    assert len(caught.value.failures) == 1
    load_plugins.cache_clear()
    install("acme-gone", LAZY.format(module="no_such_module"))
    with pytest.raises(NonConformityError, match="loads: plugin main is broken: ModuleNotFoundError"):
        conformance("acme-gone")


def test_an_unknown_distribution_is_told(install: Callable[[str, str], None]) -> None:
    install("acme-good", GOOD.format(extra="", sequence="tuple"))
    with pytest.raises(PluginError, match="called 'acme-goods'; did you mean 'acme-good'"):
        conformance("acme-goods")


def test_a_file_is_examined_too(tmp_path: Path) -> None:
    file = tmp_path / "my_file.py"
    file.write_text(GOOD.format(extra="", sequence="tuple"))
    assert conformance("my-file", files=(str(file),)).components == ("spacing my-file/even()",)


def test_checks_leave_the_callers_randomness_alone(install: Callable[[str, str], None]) -> None:
    code = (
        "import torch; from diffloom.testing import check_component; from diffloom.plugins import load_registry;"
        "torch.manual_seed(1); check_component(load_registry().find('sampler', 'ddim')); a = torch.rand(1);"
        "torch.manual_seed(1); print(bool(torch.rand(1) == a))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "True"

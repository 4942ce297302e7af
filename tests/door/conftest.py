"""Makes real distributions: a folder on sys.path with modules and a dist-info, as pip leaves them."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

Install = Callable[..., Path]

COMPONENT = """
from typing import ClassVar
from diffloom import hookimpl
from diffloom.kinds import TimeSpacing

class {cls}(TimeSpacing):
    \"\"\"Every {cls} time.\"\"\"
    name: ClassVar[str] = "{name}"

    def times(self, *, axis, steps):
        return tuple(float(steps - 1 - i) for i in range(steps))

@hookimpl
def diffloom_register(registrar):
    registrar.add({cls})
"""


@pytest.fixture
def spacing() -> Callable[[str], str]:
    """The text of a plugin module with one spacing of the given name."""
    return lambda name: COMPONENT.format(cls=name.title().replace("_", ""), name=name)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install(name, modules={...}, points=[...])` puts a distribution on sys.path, undone after the test."""
    before = set(sys.modules)

    def put(
        distribution: str,
        *,
        modules: Mapping[str, str],
        points: Sequence[str],
        version: str = "1.0",
        requires: Sequence[str] = (),
        folder: str = "site",
    ) -> Path:
        site = tmp_path / folder
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}"
        )
        (info / "entry_points.txt").write_text("[diffloom.plugins]\n" + "\n".join(points) + "\n")
        for name, text in modules.items():
            path = site / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        return site

    yield put
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]

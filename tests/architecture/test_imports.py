"""Who may import whom. Oracle: the sources' own import statements, read as syntax trees."""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "core").rglob("*.py"))
FAMILIES = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
PUBLIC = ("diffloom", "kinds", "process", "condition", "nn", "bridge", "picture", "errors", "testing")
MODULE_OF = {
    "huggingface-hub": "huggingface_hub",
    "lazy-loader": "lazy_loader",
    "open_clip_torch": "open_clip",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
"""Distributions whose module has another name."""
COMES_WITH = {"pydantic": "pydantic_core"}
EXTRAS = {
    "inspection": {"matplotlib"},
    "diffloom_hub_data": {"datasets"},
    "diffloom_attention": {"xformers"},
}
"""Folders that import what an extra brings; their one error names it (such as `diffloom.inspection.plots`)."""


class Import(NamedTuple):
    """One imported name and where it stands."""

    module: str
    name: str | None
    line: int
    for_types_only: bool


def imports(source: str) -> Iterator[Import]:
    """Every import of a source text, wherever it stands; `name` is None for `import module`."""

    def walk(node: ast.AST, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None, node.lineno, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide who is imported"
            yield from (Import(node.module or "", alias.name, node.lineno, typing) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            guarded = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from walk(child, typing or guarded)

    return walk(ast.parse(source), False)


def public_names(module: str) -> set[str]:
    """The names a module offers: its `__all__`, or else what it defines itself without an underscore."""
    imported = importlib.import_module(module)
    own = {n for n, v in vars(imported).items() if getattr(v, "__module__", None) == module and n[0] != "_"}
    return set(getattr(imported, "__all__", own))


def undeclared(source: str, allowed: set[str]) -> list[str]:
    """Third-party modules a text imports at run time without leave."""
    tops = [(i.module.partition(".")[0], i.line) for i in imports(source) if not i.for_types_only]
    return [f"line {line}: {top}" for top, line in tops if top not in allowed | sys.stdlib_module_names]


def foreign(source: str, family: str) -> list[str]:
    """Imports by which a plugin reaches past diffloom's public names, or into another plugin."""
    found = []
    for item in imports(source):
        top = item.module.partition(".")[0]
        is_public = item.module == "diffloom" or item.module.removeprefix("diffloom.") in PUBLIC
        if top == "diffloom":
            if not (is_public and item.name in public_names(item.module)):
                found.append(f"line {item.line}: {item.module}: {item.name}")
        elif top in FAMILIES and top != family:
            found.append(f"line {item.line}: {item.module}")
    return found


@pytest.fixture(scope="module")
def declared() -> set[str]:
    """The modules of the main dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(text).name for text in project["dependencies"]}
    return {MODULE_OF.get(name, name) for name in names} | {COMES_WITH[n] for n in names if n in COMES_WITH}


def test_core_imports_itself_and_what_is_declared(declared):
    """So neither a plugin nor, torch aside, any network library."""
    assert len(CORE) > 80
    found = {
        path: undeclared(path.read_text(), declared | {"diffloom"} | EXTRAS.get(path.parent.name, set()))
        for path in CORE
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_plugins_import_public_names_and_not_each_other(family, declared):
    found = {}
    for path in (ROOT / "plugins" / family).rglob("*.py"):
        source = path.read_text()
        found[path.name] = foreign(source, family) + undeclared(
            source, declared | {"diffloom", family} | EXTRAS.get(family, set())
        )
    assert found
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ("import diffusers", "line 1: diffusers"),
        ("def build():\n    from torchvision.models import vgg16", "line 2: torchvision"),
        ("import diffloom_unet", "line 1: diffloom_unet"),
        ("import importlib, timm.layers", "line 1: timm"),
    ],
)
def test_a_planted_import_in_core_is_seen(planted, told, declared):
    assert undeclared(planted, declared | {"diffloom"}) == [told]


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ("from diffloom.registry import did_you_mean", "line 1: diffloom.registry: did_you_mean"),
        ("from diffloom.process.types import Level", "line 1: diffloom.process.types: Level"),
        ("from diffloom.kinds import _private", "line 1: diffloom.kinds: _private"),
        ("if TYPE_CHECKING:\n    from diffloom.config import Document", "line 2: diffloom.config: Document"),
        ("import diffloom.pipeline", "line 1: diffloom.pipeline: None"),
        ("def f():\n    import diffloom_labels.vocabulary", "line 2: diffloom_labels.vocabulary"),
    ],
)
def test_a_planted_import_in_a_plugin_is_seen(planted, told):
    assert foreign(planted, "diffloom_data") == [told]


def test_sound_imports_are_not_told():
    sound = "from diffloom import hookimpl\nfrom diffloom.kinds import Sampler\nimport diffloom_data.x"
    assert foreign(sound, "diffloom_data") == []
    assert undeclared("import os\nif TYPE_CHECKING:\n    import matplotlib", set()) == []


def heavy_modules(program: str) -> list[str]:
    """Which of torch and numpy a fresh interpreter has loaded after a program."""
    code = f"import sys\n{program}\nprint(*[name for name in ('torch', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_diffloom_is_light():
    assert heavy_modules("import diffloom") == []


def test_the_probe_sees_torch():
    assert heavy_modules("import diffloom; diffloom.Pipeline") == ["torch", "numpy"]


def test_loading_every_plugin_imports_no_torch():
    program = "from diffloom.plugins import load_registry; assert len(load_registry().components) >= 15"
    assert heavy_modules(program) == []


def test_every_module_that_defines_components_imports_no_torch(registry):
    modules = sorted({component.__module__ for component in registry.of_distribution("diffloom")})
    assert len(modules) >= 8
    assert heavy_modules(f"import {', '.join(modules)}") == []

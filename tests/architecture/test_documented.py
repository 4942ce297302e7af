"""Nothing public is undocumented, unexamined or untested. Oracle: the code's own lists against docs and
tests."""

import re
import runpy
from pathlib import Path

import pytest

from diffloom import hooks
from diffloom.kinds import KINDS
from diffloom.testing.examination import LAWS

ROOT = Path(__file__).parents[2]
HOOKS = [name for name in vars(hooks) if name.startswith("diffloom_")]


@pytest.fixture(scope="module")
def reference():
    return (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def other_tests():
    """The text of all tests but these."""
    here = Path(__file__).parent
    paths = [path for path in (ROOT / "tests").rglob("*.py") if here not in path.parents]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_what_is_written_from_the_code_is_not_stale(registry):
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"](registry)
    assert sorted(pages) == ["configs/schema.json", "docs/reference.md"]
    stale = [path for path, text in pages.items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook, reference, other_tests):
    described = re.search(rf"^- `{hook}\(.*\) -> None`: \w", reference, re.MULTILINE)
    assert described, f"{hook} is not in docs/reference.md"
    assert hook in other_tests, f"no test mentions {hook}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_documented_and_has_laws_and_components(kind, reference, registry):
    assert re.search(rf"^## Kind `{kind}`\n\n\w", reference, re.MULTILINE)
    assert LAWS[kind], f"the conformance kit has no law for {kind}"
    assert list(registry.of_kind(kind)), f"no component is a {kind}"


def test_the_kit_knows_no_kind_that_is_gone():
    assert LAWS.keys() == KINDS.keys()


def test_every_component_is_documented_and_tested(registry, reference, other_tests):
    for component in registry.of_distribution("diffloom"):
        assert f"\n### {component.kind} `{component.name}`\n" in reference
        assert component.__name__ in other_tests, f"no test mentions {component.__name__}"


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", index) == pages
    assert [page[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]

"""`diffloom plugins list | show | new | check`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from diffloom.plugins import load_registry

Invoke = Callable[..., Result]

PLUGIN = '''
from typing import Literal
from pydantic import PositiveInt
from diffloom import hookimpl
from diffloom.kinds import TimeSpacing

class Even(TimeSpacing):
    """Evenly [spaced] times.

    And more of it.
    """
    name = "even"

    offset: float = 0.5
    """Where in each stretch."""
    sizes: tuple[PositiveInt, ...] = (1, 2)
    """Sizes."""
    word: Literal["a", "b"] | None = None
    """A word."""

    def times(self, *, axis, steps):
        if axis.count is None or steps > axis.count:
            raise ValueError("more steps than times")
        stride = axis.count / steps
        return tuple(float(int(stride * (steps - i - self.offset))) for i in range(steps))

@hookimpl
def diffloom_register(registrar):
    registrar.add(Even)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A plugin file."""
    file = tmp_path / "my_times.py"
    file.write_text(PLUGIN)
    return file


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["show", "backbone/unet"], ["--help"]])
def test_looking_does_not_import_torch(words: list[str]) -> None:
    code = (
        "import sys; from diffloom.cli import diffloom; diffloom.main(sys.argv[1:], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, "plugins", *words], check=True, capture_output=True)


def test_list_is_a_table_by_kind(invoke: Invoke, plugin: Path) -> None:
    lines = invoke("plugins", "list", "-p", plugin).output.splitlines()
    spacing, guidance = lines.index("spacing"), lines.index("guidance")
    below = [line.split(maxsplit=1) for line in lines[spacing + 1 : guidance]]
    ours = [component.canonical for component in load_registry().of_kind("spacing")]
    assert "diffloom/trailing" in ours
    assert [name for name, _ in below] == [*ours, "my-times/even"]
    assert below[-1][1] == "Evenly [spaced] times."
    assert not any("\x1b" in line for line in lines), "plain text where there is no terminal"


def test_list_on_a_terminal_has_every_name_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from diffloom.cli.plugin_pages import print_tables
    from diffloom.plugins import load_registry
    from diffloom.registry import Quarantined, Registry

    monkeypatch.setenv("COLUMNS", "160")
    registry = load_registry()
    print_tables(
        Registry(registry.registrations, registry.versions, [Quarantined("acme", "main", "no [licence]")])
    )
    output = capsys.readouterr().out
    assert all(component.canonical in output for component in registry.components.values())
    assert "no [licence]" in output, "text of plugins is no markup"


def test_list_ends_with_what_is_set_aside(tmp_path: Path) -> None:
    """And exits with 0: a broken plugin of somebody else's is no mistake of this command's."""
    info = tmp_path / "acme_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[diffloom.plugins]\nmain = acme_broken\n")
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('low tide')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from diffloom.cli import main; main()"

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, "plugins", *words], check=True, capture_output=True, text=True
        ).stdout

    lines = run("list").splitlines()
    aside = lines.index("set aside")
    assert lines[aside + 1 :] == [
        f"  acme-broken (main): RuntimeError: low tide ({tmp_path / 'acme_broken.py'}:1)"
    ]
    (told,) = json.loads(run("list", "--json"))["quarantined"]
    assert told["distribution"] == "acme-broken"
    assert told["reason"].startswith("RuntimeError: low tide")


def test_list_as_json_says_everything(invoke: Invoke, plugin: Path) -> None:
    inventory = json.loads(invoke("plugins", "list", "--json", "-p", plugin).output)
    assert inventory["quarantined"] == []
    assert set(inventory["distributions"]) >= {"diffloom", "my-times"}
    (mine,) = [c for c in inventory["components"] if c["name"] == "my-times/even"]
    assert mine == {
        "kind": "spacing",
        "name": "my-times/even",
        "module": "diffloom_local_my_times",
        "summary": "Evenly [spaced] times.",
        "fields": ["offset", "sizes", "word"],
    }


def test_show_tells_all_of_a_component(invoke: Invoke, plugin: Path) -> None:
    output = invoke("plugins", "show", "spacing/my-times/even", "-p", plugin).output
    assert output.startswith("spacing my-times/even\nmy-times sha256:")
    assert "diffloom_local_my_times.Even" in output
    assert "And more of it." in output
    assert "  offset: number (default 0.5)\n      Where in each stretch." in output
    assert "  sizes: list of integer > 0 (default [1, 2])\n      Sizes." in output
    assert '  word: "a" or "b" or null (default null)\n      A word.' in output


@pytest.mark.parametrize("name", ["sampler/ddim", "sampler/diffloom/ddim"])
def test_show_takes_bare_and_full_names(invoke: Invoke, name: str) -> None:
    output = invoke("plugins", "show", name).output
    assert output.startswith("sampler diffloom/ddim\ndiffloom 0.")
    assert "  eta: number ≥ 0, ≤ 1 (default 0.0)" in output


def test_show_marks_required_fields(invoke: Invoke) -> None:
    assert "  path: string (required)" in invoke("plugins", "show", "data/image_folder").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "sampler/dimm"], "unknown sampler 'dimm'; did you mean 'ddim'?"),
        (["show", "samplr/ddim"], "'samplr' is not a kind; did you mean 'sampler'?"),
        (["show", "zzz"], "'zzz' is not a kind; the kinds are space, "),
        (["show", "sampler"], "which sampler? Write sampler/NAME"),
        (["show", "sampler/acme/heun"], "acme is not installed; try `pip install acme`"),
        (["check", "difloom"], "no plugin distribution is called 'difloom'; did you mean 'diffloom'?"),
        (["list", "-p", "gone.py"], "gone.py: no such plugin file"),
        (["new", "Moon"], "'Moon' cannot name a package"),
        (["new", "moon--x"], "'moon--x' cannot name a package"),
        (["new", "../moon"], "'../moon' cannot name a package"),
        (["new", "class"], "'class' is Python's or diffloom's own name"),
        (["new", "json"], "'json' is Python's or diffloom's own name"),
        (["new", "diffloom"], "'diffloom' is Python's or diffloom's own name"),
        (["new", "click"], "'click' is installed already"),
    ],
)
def test_a_mistake_is_told_with_exit_code_2(
    invoke: Invoke, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("plugins", *words)
    assert result.exit_code == 2
    assert told in result.output
    assert list(tmp_path.iterdir()) == []


def test_check_reports(invoke: Invoke, plugin: Path) -> None:
    good = invoke("plugins", "check", "my-times", "-p", plugin)
    assert good.exit_code == 0
    assert "  ok  spacing my-times/even()" in good.output
    assert "my-times: 1 configuration, " in good.output


def test_check_lists_what_fails_with_exit_code_1(invoke: Invoke, plugin: Path) -> None:
    other = plugin.with_name("past_times.py")
    other.write_text(PLUGIN.replace("in range(steps))", "in reversed(range(steps)))"))
    bad = invoke("plugins", "check", "past-times", "-p", other)
    assert bad.exit_code == 1
    assert (
        "past-times has 2 failures:\n  spacing past-times/even(): gives_levels_that_fall: expected"
        in bad.output
    )


class TestNew:
    """What it writes is installed and tested in tests/third_party."""

    def test_it_writes_the_package(self, invoke: Invoke, tmp_path: Path) -> None:
        result = invoke("plugins", "new", "blue-moon", "-o", tmp_path / "x")
        written = sorted(
            str(p.relative_to(tmp_path / "x")) for p in (tmp_path / "x").rglob("*") if p.is_file()
        )
        assert written == [
            "README.md",
            "pyproject.toml",
            "src/blue_moon/__init__.py",
            "src/blue_moon/components.py",
            "src/blue_moon/convnet.py",
            "src/blue_moon/euler.py",
            "tests/test_conformance.py",
        ]
        assert all(str(tmp_path / "x" / name) in result.output for name in written)
        texts = [(tmp_path / "x" / name).read_text() for name in written]
        assert not any("$" in text for text in texts), "a placeholder was left"
        assert 'conformance("blue-moon")' in texts[-1]

    def test_it_overwrites_nothing(self, invoke: Invoke, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("mine")
        result = invoke("plugins", "new", "blue-moon", "-o", tmp_path)
        assert result.exit_code == 2
        assert "exists already and is not empty" in result.output
        assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
        (tmp_path / "empty").mkdir()
        assert invoke("plugins", "new", "blue-moon", "-o", tmp_path / "empty").exit_code == 0

    def test_a_place_that_cannot_be_written_is_told(self, invoke: Invoke, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        result = invoke("plugins", "new", "blue-moon", "-o", tmp_path / "file" / "x")
        assert result.exit_code == 2
        assert "cannot be written: Not a directory" in result.output

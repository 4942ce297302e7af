"""The loader, on distributions as pip leaves them. Oracle: the promises of the plugin door, case by case."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import diffloom
from diffloom.errors import PluginError
from diffloom.plugins import Plugins, load_plugins


def loaded() -> Plugins:
    plugins = Plugins()
    plugins.load_installed()
    return plugins


def names(plugins: Plugins, distribution: str) -> list[str]:
    return [component.canonical for component in plugins.registry.of_distribution(distribution)]


def reason(plugins: Plugins, distribution: str) -> str:
    (only,) = [q.reason for q in plugins.registry.quarantined if q.distribution == distribution]
    return only


def test_a_distribution_registers_under_its_own_name(install: Callable, spacing: Callable) -> None:
    install("Acme_Moon", modules={"acme_moon": spacing("crescent")}, points=["moon = acme_moon"])
    plugins = loaded()
    assert names(plugins, "acme-moon") == ["acme-moon/crescent"]
    assert plugins.registry.versions["acme-moon"] == "1.0"
    assert plugins.registry.find("spacing", "acme-moon/crescent").name == "crescent"
    assert [module.__name__ for module in plugins.modules["acme-moon"]] == ["acme_moon"]


BROKEN = {
    "import error": ("import no_such_package", "No module named 'no_such_package'"),
    "syntax error": ("def (", "SyntaxError: invalid syntax"),
    "exit at import": ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
    "no hook": ("x = 1", "it implements no diffloom hook"),
    "unmarked": ("def diffloom_register(registrar): pass", "diffloom_register is not marked @hookimpl"),
    "misspelt and unmarked": (
        "def diffloom_regster(registrar): pass",
        "diffloom_regster is not marked @hookimpl; did you mean 'diffloom_register'?",
    ),
    "misspelt": (
        "from diffloom import hookimpl\n@hookimpl\ndef diffloom_steps_end(run): pass",
        "there is no hook diffloom_steps_end; did you mean 'diffloom_step_end'?",
    ),
    "misspelt under another name": (
        "from diffloom import hookimpl\n@hookimpl(specname='diffloom_stop')\ndef stop(run): pass",
        "there is no hook diffloom_stop",
    ),
    "strange argument": (
        "from diffloom import hookimpl\n@hookimpl\ndef diffloom_register(registry): pass",
        "registry",
    ),
    "raises": (
        "from diffloom import hookimpl\n@hookimpl\ndef diffloom_register(registrar): raise KeyError('moon')",
        "KeyError: 'moon'",
    ),
    "one unmarked observer": (
        "from diffloom import hookimpl\n@hookimpl\ndef diffloom_register(registrar): pass\n"
        "def diffloom_run_end(run): pass",
        "diffloom_run_end is not marked @hookimpl",
    ),
}


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_set_aside_with_its_reason(
    install: Callable, spacing: Callable, text: str, why: str
) -> None:
    install("acme-broken", modules={"acme_broken": text}, points=["broken = acme_broken"])
    install("acme-whole", modules={"acme_whole": spacing("full")}, points=["whole = acme_whole"])
    plugins = loaded()
    assert why in reason(plugins, "acme-broken")
    assert names(plugins, "acme-whole") == ["acme-whole/full"]
    assert "acme-broken" not in plugins.registry.versions
    assert not [m for m in plugins.manager.get_plugins() if getattr(m, "__name__", "") == "acme_broken"]
    assert names(plugins, "diffloom"), "ours are untouched"


def test_the_reason_says_where(install: Callable) -> None:
    site = install("acme", modules={"acme": "\n\nraise RuntimeError('low tide')"}, points=["acme = acme"])
    assert reason(loaded(), "acme") == f"RuntimeError: low tide ({site / 'acme.py'}:3)"


def test_an_entry_point_names_a_module(install: Callable) -> None:
    install("acme", modules={"acme": "class Plugin: pass"}, points=["a = acme:Plugin", "b = acme:Missing"])
    first, second = [q.reason for q in loaded().registry.quarantined if q.distribution == "acme"]
    assert first.startswith("a plugin is a module")
    assert "Missing" in second


def test_two_entry_points_of_one_name_both_load(install: Callable, spacing: Callable) -> None:
    modules = {"acme_a": spacing("waxing"), "acme_b": spacing("waning")}
    install("acme", modules=modules, points=["same = acme_a", "same = acme_b", "same = acme_b"])
    assert names(loaded(), "acme") == ["acme/waning", "acme/waxing"]


def test_a_name_taken_twice_sets_both_aside(install: Callable, spacing: Callable) -> None:
    modules = {"acme_a": spacing("twin"), "acme_b": spacing("twin"), "acme_c": spacing("single")}
    install("acme", modules=modules, points=["a = acme_a", "b = acme_b", "c = acme_c"])
    plugins = loaded()
    told = {q.entry_point: q.reason for q in plugins.registry.quarantined if q.distribution == "acme"}
    twice = "spacing acme/twin is defined twice: in acme_a and in acme_b"
    assert told == {"a": twice, "b": twice}
    assert names(plugins, "acme") == ["acme/single"]
    with pytest.raises(PluginError, match="its plugin a is broken: spacing acme/twin is defined twice"):
        plugins.registry.find("spacing", "acme/twin")


def test_one_module_that_registers_a_name_twice_is_set_aside(install: Callable, spacing: Callable) -> None:
    text = spacing("twin") + "    registrar.add(Twin)\n"
    install("acme", modules={"acme": text}, points=["a = acme"])
    assert "defined twice: in acme and in acme" in reason(loaded(), "acme")


def test_a_distribution_twice_on_the_path_loads_once_and_from_the_first(
    install: Callable, spacing: Callable
) -> None:
    install("acme", modules={"acme": spacing("old")}, points=["a = acme"], folder="second", version="1.0")
    install("acme", modules={"acme": spacing("new")}, points=["a = acme"], folder="first", version="2.0")
    plugins = loaded()
    assert names(plugins, "acme") == ["acme/new"]
    assert plugins.registry.versions["acme"] == "2.0"
    assert not [q for q in plugins.registry.quarantined if q.distribution == "acme"]


REEXPORT = """
from diffloom import hookimpl
from {module} import {cls}

@hookimpl
def diffloom_register(registrar):
    registrar.add({cls})
"""


@pytest.mark.parametrize("thief", ["aaa-thief", "zzz-thief"], ids=["loads first", "loads last"])
def test_nobody_registers_another_distributions_component(
    install: Callable, spacing: Callable, thief: str
) -> None:
    install("acme", modules={"acme": spacing("crescent")}, points=["a = acme"])
    text = REEXPORT.format(module="acme", cls="Crescent")
    install(thief, modules={"thief_module": text}, points=["t = thief_module"])
    plugins = loaded()
    assert "acme.Crescent belongs to acme, as acme/crescent" in reason(plugins, thief)
    assert names(plugins, "acme") == ["acme/crescent"]


def test_a_class_of_no_plugins_package_has_one_owner_too(install: Callable, spacing: Callable) -> None:
    shared = spacing("shared").replace("@hookimpl", "")
    text = REEXPORT.format(module="common_parts", cls="Shared")
    install("one", modules={"common_parts": shared, "one_plugin": text}, points=["p = one_plugin"])
    install("two", modules={"two_plugin": text}, points=["p = two_plugin"])
    plugins = loaded()
    why = "common_parts.Shared is registered by one and two, and has one canonical name"
    assert reason(plugins, "one") == reason(plugins, "two") == why


@pytest.mark.parametrize("requires", ["diffloom>=9", "diffloom<0.1", "Diffloom==0.0.1; python_version>='3'"])
def test_a_plugin_for_another_diffloom_is_not_tried(install: Callable, requires: str) -> None:
    text = "raise AssertionError('imported')"
    install("acme", modules={"acme": text}, points=["a = acme"], requires=["numpy", requires])
    why = reason(loaded(), "acme")
    assert why.startswith("it needs ")
    assert why.endswith(f"this is {diffloom.__version__}")


def test_a_requirement_that_holds_or_does_not_apply_is_no_reason(
    install: Callable, spacing: Callable
) -> None:
    requires = ["diffloom>=0.1", "diffloom>=9; extra == 'future'", "diffloom>=9; python_version<'3'"]
    install("acme", modules={"acme": spacing("full")}, points=["a = acme"], requires=requires)
    assert names(loaded(), "acme") == ["acme/full"]


def test_an_interrupt_is_not_swallowed(install: Callable) -> None:
    install("acme", modules={"acme": "raise KeyboardInterrupt"}, points=["a = acme"])
    with pytest.raises(KeyboardInterrupt):
        loaded()


def test_an_observer_without_components_loads(install: Callable) -> None:
    text = """
    from diffloom import hookimpl
    seen = []

    @hookimpl
    def diffloom_run_end(step, reason):
        seen.append((step, reason))
    """
    install("acme-watch", modules={"acme_watch": text}, points=["w = acme_watch"])
    plugins = loaded()
    plugins.manager.hook.diffloom_run_end(run=None, step=7, reason="finished")
    assert plugins.modules["acme-watch"][0].seen == [(7, "finished")]
    assert plugins.registry.versions["acme-watch"] == "1.0"


def test_lazy_names_of_a_plugin_module_stay_asleep(install: Callable, spacing: Callable) -> None:
    lazy = """
def __dir__():
    return ["Heavy", "diffloom_register"]

def __getattr__(name):
    if name != "Heavy":
        raise AttributeError(name)
    raise RuntimeError("woken")
"""
    install("acme", modules={"acme": spacing("full") + lazy}, points=["a = acme"])
    assert names(loaded(), "acme") == ["acme/full"]


def test_loading_plugins_does_not_import_torch() -> None:
    code = (
        "import sys, json; from diffloom.plugins import load_registry; r = load_registry();"
        "print(json.dumps(['torch' in sys.modules, len(r.components), [q.reason for q in r.quarantined]]))"
    )
    torch, count, quarantined = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert not torch
    assert count >= 15, "the first fifteen components"
    assert quarantined == []


class TestFile:
    def test_a_file_is_a_plugin_of_its_own_name(self, tmp_path: Path, spacing: Callable) -> None:
        file = tmp_path / "my_plugin.py"
        file.write_text(spacing("mine"))
        registry = load_plugins((str(file),)).registry
        assert registry.find("spacing", "my-plugin/mine").canonical == "my-plugin/mine"
        assert registry.versions["my-plugin"].startswith("sha256:")

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("gone.py", None, "no such plugin file"),
            ("bad.py", "import no_such_package", "No module named 'no_such_package'"),
            ("empty.py", "", "it implements no diffloom hook"),
            ("quits.py", "raise SystemExit(3)", "SystemExit: 3"),
            ("diffloom.py", "", "there is a plugin diffloom already"),
            ("a b.py", "", "'a b' cannot name a plugin"),
        ],
    )
    def test_a_bad_file_is_an_error_at_once(
        self, tmp_path: Path, name: str, text: str | None, why: str
    ) -> None:
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(PluginError, match=why) as caught:
            load_plugins((str(tmp_path / name),))
        assert str(tmp_path / name) in str(caught.value)

    def test_a_file_cannot_speak_for_a_package(
        self, install: Callable, spacing: Callable, tmp_path: Path
    ) -> None:
        install("acme-moon", modules={"acme_moon": spacing("full")}, points=["a = acme_moon"])
        (tmp_path / "acme_moon.py").write_text(spacing("forged"))
        plugins = loaded()
        with pytest.raises(PluginError, match="there is a plugin acme-moon already"):
            plugins.load_file(tmp_path / "acme_moon.py")

    def test_a_file_that_fails_leaves_nothing_behind(self, tmp_path: Path, spacing: Callable) -> None:
        (tmp_path / "half.py").write_text(spacing("half") + "    registrar.add(Half)\n")
        plugins = loaded()
        before = dict(plugins.registry.components)
        with pytest.raises(PluginError, match="defined twice"):
            plugins.load_file(tmp_path / "half.py")
        assert plugins.registry.components == before
        assert "half" not in plugins.registry.versions

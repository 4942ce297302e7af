"""Components that are registered by name: imported when somebody wants them, and no less examined. Oracle: `add`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import pytest

from diffloom.config.plain import canonical
from diffloom.errors import PluginError
from diffloom.plugins import Plugins
from diffloom.registrar import Registrar

REGISTER = """
from diffloom import hookimpl

@hookimpl
def diffloom_register(registrar):
    {call}
"""


@pytest.fixture
def loaded(install: Callable, spacing: Callable) -> Callable[..., Plugins]:
    """`loaded("acme-a", "registrar.add_lazily(...)", part="text")`: installed as `acme_a`, with modules of parts."""

    def load(distribution: str, call: str, **parts: str) -> Plugins:
        package = distribution.replace("-", "_")
        modules: Mapping[str, str] = {
            f"{package}/__init__": REGISTER.format(call=call),
            **{f"{package}/{name}": text for name, text in parts.items()},
        }
        install(distribution, modules=modules, points=[f"main = {package}"])
        plugins = Plugins()
        plugins.load_installed()
        return plugins

    return load


def test_only_what_is_wanted_is_imported(loaded: Callable, spacing: Callable) -> None:
    plugins = loaded(
        "acme-two",
        'registrar.add_lazily("spacing", even="acme_two.a:Even", odd="acme_two.b:Odd")',
        a=spacing("even"),
        b=spacing("odd"),
    )
    registry = plugins.registry
    assert registry.names("spacing").count("acme-two/even") == 1
    assert not {"acme_two.a", "acme_two.b"} & set(sys.modules)
    assert registry.find("spacing", "acme-two/even") is sys.modules["acme_two.a"].Even
    assert "acme_two.b" not in sys.modules
    assert registry.find("spacing", "acme-two/even").canonical == "acme-two/even"
    assert [c.name for c in registry.of_distribution("acme-two")] == ["even", "odd"]


@pytest.mark.parametrize("first", ["imported", "registered"])
def test_a_class_that_somebody_else_imports_has_its_canonical_name(
    loaded: Callable, spacing: Callable, first: str
) -> None:
    """As whoever builds a component in Python does, whose recipe is to name it."""
    package = f"acme_{first}"
    call = f'registrar.add_lazily("spacing", even="{package}.a:Even")'
    if first == "imported":
        call = f"from {package}.a import Even; {call}"
    loaded(package.replace("_", "-"), call, a=spacing("even"))
    component = __import__(f"{package}.a", fromlist=["Even"]).Even
    assert canonical(component()) == f"{package.replace('_', '-')}/even"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("gone", None, "No module named 'acme_gone.a'"),
        ("absent", "x = 1", "has no attribute 'Even'"),
        ("quits", "import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("odd", "odd", "registered as spacing 'even', and is acme_odd.a.Even, spacing 'odd'"),
        ("function", "Even = 3", "is not a diffloom.kinds component class"),
        ("vague", "vague", "has no docstring"),
    ],
)
def test_a_plugin_that_breaks_at_the_import_is_set_aside_whole(
    loaded: Callable, spacing: Callable, name: str, text: str | None, why: str
) -> None:
    if text == "odd":
        text = spacing("odd").replace("class Odd", "class Even").replace("add(Odd)", "add(Even)")
    if text == "vague":
        text = spacing("even").replace('"""Every Even time."""', "")
    places = f'even="acme_{name}.a:Even", sound="acme_{name}.b:Sound"'
    parts = {"b": spacing("sound"), **({} if text is None else {"a": text})}
    registry = loaded(f"acme-{name}", f'registrar.add_lazily("spacing", {places})', **parts).registry
    with pytest.raises(
        PluginError, match=f"acme-{name} is installed, but its plugin main is broken: "
    ) as told:
        registry.find("spacing", f"acme-{name}/even")
    assert why in str(told.value)
    (aside,) = [q for q in registry.quarantined if q.distribution == f"acme-{name}"]
    assert why in aside.reason
    with pytest.raises(PluginError, match="its plugin main is broken"):
        registry.find("spacing", f"acme-{name}/sound")
    assert registry.find("spacing", "leading").canonical == "diffloom/leading", "ours are untouched"


def test_a_listing_leaves_out_what_breaks_and_says_so(loaded: Callable, spacing: Callable) -> None:
    """Also what was imported soundly before the plugin broke."""
    call = 'registrar.add_lazily("spacing", a_sound="acme_list.b:ASound", even="acme_list.a:Even")'
    text = spacing("a_sound").replace("A_Sound", "ASound")
    registry = loaded("acme-list", call, a="raise RuntimeError('low tide')", b=text).registry
    assert list(registry.of_distribution("acme-list")) == []
    assert not [name for _, name in registry.components if name.startswith("acme-list/")]
    (aside,) = [q for q in registry.quarantined if q.distribution == "acme-list"]
    assert aside.reason.startswith("RuntimeError: low tide (")
    assert aside.reason.endswith("a.py:1)")


def test_a_name_taken_twice_is_told_before_anything_is_imported(loaded: Callable, spacing: Callable) -> None:
    call = 'registrar.add_lazily("spacing", even="acme_twin.a:Even"); '
    call += 'registrar.add_lazily("spacing", even="acme_twin.b:Even")'
    registry = loaded("acme-twin", call).registry
    (aside,) = [q for q in registry.quarantined if q.distribution == "acme-twin"]
    assert aside.reason == "spacing acme-twin/even is defined twice: in acme_twin.a and in acme_twin.b"


@pytest.mark.parametrize(
    ("kind", "name", "place", "why"),
    [
        ("spaceing", "even", "acme.a:Even", "there is no kind 'spaceing'; the kinds are space, conditioner"),
        ("spacing", "even", "acme.a.Even", "spacing 'even': expected `module:Class`, got 'acme.a.Even'"),
        ("spacing", "even", ":Even", "expected `module:Class`"),
        ("spacing", "even", "acme.a:", "expected `module:Class`"),
        (
            "spacing",
            "mine",
            "other.a:Even",
            "other.a.Even belongs to other, as other/mine; to offer a variant",
        ),
    ],
)
def test_what_cannot_be_a_component_is_told_at_once(kind: str, name: str, place: str, why: str) -> None:
    registrar = Registrar("acme", homes={"other": {"other"}, "acme": {"acme"}})
    with pytest.raises(PluginError) as told:
        registrar.add_lazily(kind, **{name: place})
    assert why in str(told.value)
    assert registrar.registrations == []

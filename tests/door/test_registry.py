"""Names: installing a package never changes what an existing file means. Oracle: the promises of the door."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from diffloom.errors import PluginError
from diffloom.kinds import Component, Sampler, Spacing, TimeAxis, TimeSpacing
from diffloom.registrar import Registrar
from diffloom.registry import Quarantined, Registry


def component(name: str, /, **attributes: Any) -> type[Spacing]:
    """A new spacing class."""

    def times(self: Spacing, *, axis: TimeAxis, steps: int) -> tuple[float, ...]:
        return tuple(float(steps - 1 - i) for i in range(steps))

    body = {"__doc__": "Times.", "__module__": __name__, "name": name, "times": times, **attributes}
    body["__annotations__"] = {"name": ClassVar[str]}
    return type("Part", (TimeSpacing,), body)


def registry_of(**distributions: list[str]) -> Registry:
    registry = Registry()
    for distribution, names in distributions.items():
        registrar = Registrar(distribution.replace("_", "-"))
        for name in names:
            registrar.add(component(name))
        registry.commit(registrar, "1.0")
    return registry


def test_a_bare_name_is_ours_whatever_is_installed() -> None:
    alone = registry_of(diffloom=["unet"])
    crowded = registry_of(acme_moon=["unet"], diffloom=["unet"], zoo=["unet"])
    assert alone.find("spacing", "unet").canonical == "diffloom/unet"
    assert crowded.find("spacing", "unet").canonical == "diffloom/unet"
    assert crowded.find("spacing", "acme-moon/unet").canonical == "acme-moon/unet"


def test_a_bare_name_nobody_of_ours_has_stays_unknown_and_says_how_to_name_it() -> None:
    registry = registry_of(diffloom=["unet"], acme_moon=["lunar"])
    with pytest.raises(
        PluginError, match=r"write 'acme-moon/lunar', or put 'acme-moon' in the file's `use:`"
    ):
        registry.find("spacing", "lunar")
    assert registry.find("spacing", "lunar", ("diffloom", "acme-moon")).canonical == "acme-moon/lunar"


@pytest.mark.parametrize("use", [("diffloom", "acme-moon"), ("acme-moon", "diffloom")])
def test_a_name_in_two_used_distributions_is_ambiguous_in_any_order(use: tuple[str, ...]) -> None:
    registry = registry_of(diffloom=["unet"], acme_moon=["unet", "lunar"])
    with pytest.raises(PluginError, match="ambiguous") as caught:
        registry.find("spacing", "unet", use)
    assert "diffloom/unet" in str(caught.value)
    assert "acme-moon/unet" in str(caught.value)
    assert registry.find("spacing", "acme-moon/unet", use).canonical == "acme-moon/unet"
    assert registry.find("spacing", "unet", ("acme-moon",)).canonical == "acme-moon/unet"
    assert registry.find("spacing", "unet", ("acme-moon", "acme-moon")).canonical == "acme-moon/unet"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unnet", "did you mean 'unet'?"),
        ("zzz", "there are mlp, unet"),
        ("acme-sun/flare", "try `pip install acme-sun`"),
        ("acme-moon/lunr", "acme-moon has no spacing 'lunr'; did you mean 'lunar'?"),
        ("broken/part", "broken is installed, but its plugin main is broken: no licence"),
    ],
)
def test_a_wrong_name_is_told_with_its_remedy(name: str, told: str) -> None:
    registry = registry_of(diffloom=["unet", "mlp"], acme_moon=["lunar"])
    registry.quarantined.append(Quarantined("broken", "main", "no licence"))
    with pytest.raises(PluginError) as caught:
        registry.find("spacing", name)
    assert told in str(caught.value)


def test_a_kind_nobody_has_is_told() -> None:
    with pytest.raises(PluginError, match="unknown sampler 'ddim'; there is none in diffloom"):
        registry_of(diffloom=["unet"]).find("sampler", "ddim")


def test_a_name_is_per_kind_not_global() -> None:
    registry = registry_of(diffloom=["even"])
    with pytest.raises(PluginError, match="unknown sampler 'even'"):
        registry.find("sampler", "even")


class NotAKind(Component):
    """Derives from no kind."""

    name: ClassVar[str] = "stray"


class NoBuild(Sampler):
    """A sampler that builds nothing."""

    name: ClassVar[str] = "no_build"


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (component(""), "has no name"),
        (component("Bad-Name"), "'Bad-Name' is not lower-case"),
        (component("acme/moon"), "'acme/moon' is not lower-case"),
        (component("bare", __doc__=None), "has no docstring"),
        (component("vague", equation="x + {phase}"), "equation names phase, which is no field"),
        (NotAKind, "does not derive from a kind; the kinds are space, conditioner"),
        (Spacing, "does not derive from a kind"),
        (NoBuild, "NoBuild does not define build, which every sampler has"),
        (object, "is not a diffloom.kinds component class"),
        ("unet", "is not a diffloom.kinds component class"),
    ],
)
def test_a_bad_component_is_refused_with_its_reason(thing: Any, why: str) -> None:
    with pytest.raises(PluginError, match=why):
        Registrar("acme").add(thing)


def test_a_docstring_is_not_inherited() -> None:
    heir = type("Heir", (component("parent"),), {"__module__": __name__})
    with pytest.raises(PluginError, match="Heir has no docstring"):
        Registrar("acme").add(heir)


def test_a_clash_changes_nothing() -> None:
    registry = registry_of(acme=["a"])
    before = dict(registry.components)
    registrar = Registrar("acme")
    fresh = component("b")
    for thing in (fresh, component("a")):
        registrar.add(thing)
    with pytest.raises(PluginError, match="spacing acme/a is defined twice"):
        registry.commit(registrar, "2.0")
    assert registry.components == before
    assert registry.versions == {"acme": "1.0"}
    assert fresh.canonical == ""


def test_registering_again_elsewhere_is_refused() -> None:
    mine = component("mine")
    registry, registrar = Registry(), Registrar("acme")
    registrar.add(mine)
    registry.commit(registrar, "1.0")
    with pytest.raises(PluginError, match="belongs to acme, as acme/mine"):
        Registrar("other").add(mine)
    heir = type("Heir", (mine,), {"__doc__": "A variant.", "__module__": __name__})
    Registrar("other").add(heir)  # deriving a variant is the remedy that the error names

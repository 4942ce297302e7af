"""Laws of laying one configuration over another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffloom.config.document import Document
from diffloom.config.fields import group
from diffloom.config.merge import merge
from diffloom.config.node import Branch, Findings, Source, from_python
from diffloom.config.resolve import plain
from diffloom.registry import Registry

WHOLE = group(Document)


def over(base: dict[str, Any], top: dict[str, Any], registry: Registry) -> Any:
    nodes = [
        from_python(
            value,
            source=Source("", use=("diffloom", "acme-moon") if value.pop("use", None) else ("diffloom",)),
            findings=Findings(),
        )
        for value in (dict(base), dict(top))
    ]
    return plain(merge(nodes[0], nodes[1], WHOLE, registry))


NEW_TYPE = {"space": {"type": "latent", "factor": 2}}


@pytest.mark.parametrize(
    ("base", "top", "merged"),
    [
        ({"train": {"lr": 1, "steps": 2}}, {"train": {"lr": 3}}, {"train": {"lr": 3, "steps": 2}}),
        # a list replaces
        (
            {"backbone": {"type": "net", "channels": [1, 2, 3]}},
            {"backbone": {"channels": [4]}},
            {"backbone": {"type": "net", "channels": (4,)}},
        ),
        # a new type discards the old fields, in long form and in short
        (NEW_TYPE, {"space": {"type": "pixel"}}, {"space": {"type": "pixel"}}),
        (NEW_TYPE, {"space": "pixel"}, {"space": {"type": "pixel"}}),
        # the same type keeps them, however it is written
        (NEW_TYPE, {"space": "latent"}, {"space": {"type": "latent", "factor": 2}}),
        (
            NEW_TYPE,
            {"space": {"type": "diffloom/latent", "shift": 1}},
            {"space": {"type": "diffloom/latent", "factor": 2, "shift": 1}},
        ),
        # no type keeps them, and reaches into a short form
        ({"space": "latent"}, {"space": {"factor": 4}}, {"space": {"type": "latent", "factor": 4}}),
        # a bare name means what it means in its own file
        (
            {"use": True, "backbone": {"type": "crater", "size": 3}},
            {"backbone": {"type": "acme-moon/crater", "limit": 2}},
            {"backbone": {"type": "acme-moon/crater", "size": 3, "limit": 2}},
        ),
        # fields over a part that stands by default belong to that default; another type discards them
        (
            {"sampling": {"spacing": {"offset": 1}}},
            {"sampling": {"spacing": "trailing"}},
            {"sampling": {"spacing": {"type": "trailing"}}},
        ),
        (
            {"sampling": {"spacing": {"offset": 1}}},
            {"sampling": {"spacing": "leading"}},
            {"sampling": {"spacing": {"offset": 1, "type": "leading"}}},
        ),
        # parts inside maps and inside other parts follow the same rule
        (
            {"conditioners": {"a": {"type": "label", "classes": 3}, "b": "words"}},
            {"conditioners": {"a": {"type": "words", "width": 4}}},
            {"conditioners": {"a": {"type": "words", "width": 4}, "b": "words"}},
        ),
        (
            {"use": True, "backbone": {"type": "crater", "named": {"x": {"type": "trailing", "offset": 1}}}},
            {"backbone": {"named": {"x": {"type": "leading"}}}},
            {"backbone": {"type": "crater", "named": {"x": {"type": "leading"}}}},
        ),
        # a plain mapping has no types, whatever its keys are called
        (
            {"use": True, "backbone": {"type": "crater", "free": {"type": "a", "b": 1}}},
            {"backbone": {"free": {"type": "c"}}},
            {"backbone": {"type": "crater", "free": {"type": "c", "b": 1}}},
        ),
        # null replaces, and is replaced
        ({"train": {"lr": 1}}, {"train": None}, {"train": None}),
        ({"train": None}, {"train": {"lr": 1}}, {"train": {"lr": 1}}),
    ],
)
def test_examples(registry: Registry, base: Any, top: Any, merged: Any) -> None:
    assert over(base, top, registry) == merged


spaces = st.sampled_from(["pixel", "latent", {"type": "latent", "factor": 2}, {"factor": 3}, {"shift": 1.0}])
trains = st.none() | st.dictionaries(st.sampled_from(["lr", "steps", "betas"]), st.integers() | st.just([1]))
conditioners = st.dictionaries(
    st.sampled_from("ab"),
    st.sampled_from(["label", "words", {"type": "words", "width": 2}, {"type": "label", "dropout": 0.5}]),
)
documents = st.fixed_dictionaries(
    {}, optional={"space": spaces, "train": trains, "conditioners": conditioners, "schedule": spaces}
)


def long(document: dict[str, Any]) -> dict[str, Any]:
    """The same document without short forms: `pixel` and `{type: pixel}` are the same thing."""

    def part(value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value

    out = {key: part(value) for key, value in document.items()}
    if isinstance(out.get("conditioners"), dict):
        out["conditioners"] = {key: part(value) for key, value in out["conditioners"].items()}
    return out


def tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


@given(documents)
def test_empty_changes_nothing(registry: Registry, document: dict[str, Any]) -> None:
    assert over({}, document, registry) == tuples(document)
    assert over(document, {}, registry) == tuples(document)


@given(documents)
def test_laying_over_itself_changes_nothing(registry: Registry, document: dict[str, Any]) -> None:
    assert long(over(document, document, registry)) == long(tuples(document))


@given(documents, documents)
def test_the_upper_wins(registry: Registry, base: dict[str, Any], top: dict[str, Any]) -> None:
    """Everything the upper file says stands in the result, and laying it on again changes nothing."""
    merged = over(base, top, registry)

    def contains(whole: Any, part: Any) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(key in whole and contains(whole[key], value) for key, value in part.items())
        return bool(whole == part)

    assert contains(long(merged), long(tuples(top)))
    assert long(over(merged, top, registry)) == long(merged)


def test_places_are_the_winners(registry: Registry) -> None:
    base, top = Source("base"), Source("top")
    findings = Findings()
    merged = merge(
        from_python({"train": {"lr": 1, "steps": 2}}, source=base, findings=findings),
        from_python({"train": {"lr": 3}}, source=top, findings=findings),
        WHOLE,
        registry,
    )
    assert isinstance(merged, Branch)
    train = merged.entries["train"].node
    assert isinstance(train, Branch)
    assert {key: entry.node.place.source.name for key, entry in train.entries.items()} == {
        "lr": "top",
        "steps": "base",
    }

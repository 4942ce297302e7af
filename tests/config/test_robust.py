"""Whatever is written in a file, the answer is a document or a ConfigError: never another exception."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffloom.config import load, parse
from diffloom.errors import ConfigError
from diffloom.registry import Registry

COMPLETE: dict[str, Any] = {
    "use": ["diffloom", "acme-moon"],
    "image": {"size": [8, 8], "channels": 1},
    "space": {"type": "latent", "factor": 2},
    "conditioners": {"label": {"type": "label", "dropout": 0.1}, "words": "words"},
    "backbone": {
        "type": "crater",
        "first": {"type": "acme-moon/leading", "offset": 1},
        "named": {"a": "trailing"},
        "listed": ["trailing", {"type": "trailing"}],
        "pair": ["trailing", "ddim"],
        "maria": [{"depth": 1, "spacing": {"offset": 2}}],
        "size": [1, 2],
        "free": {"x": [1, {"y": None}]},
    },
    "schedule": "linear",
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 3, "guidance": {"type": "classifier_free", "scale": 2}},
    "data": {"type": "folder", "folder": "x", "fractions": [0.5], "exclude": ["a"]},
    "train": {
        "steps": 10,
        "batch_size": 1,
        "lr": 1e-3,
        "lr_schedule": {"warmup_steps": 3},
        "optimizer": {"type": "adamw", "betas": [0.9, 0.99]},
        "further_ema": {"fast": "exponential", "slow": {"type": "exponential", "decay": 0.5}},
    },
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, item in inside for found in paths(item, (*path, key))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["leading", "net", "ddim", "diffloom/", "/", "acme-moon/crater", "diffloom:digits"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["type", "offset", "steps"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def test_the_complete_one_loads(registry: Registry) -> None:
    assert load(COMPLETE, registry=registry).document.train is not None


@settings(max_examples=400)
@given(st.sampled_from(paths(COMPLETE)), anything)
def test_any_value_in_any_place(registry: Registry, path: tuple[Any, ...], value: Any) -> None:
    with suppress(ConfigError):
        load(replaced(COMPLETE, path, value), registry=registry)


@given(st.text("ab:-[]{}&*!#|>'\"\n ,?%@`<~\t1.\x00é", max_size=30) | st.text(max_size=30))
def test_any_text(registry: Registry, text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, name="f", registry=registry)


@given(
    st.text("ab.=:[]{}!#*&<'\"\n ,1", max_size=15), st.sampled_from(["", "train.", "train=", "space.type="])
)
def test_any_override(registry: Registry, text: str, start: str) -> None:
    with suppress(ConfigError):
        load(COMPLETE, [start + text], registry=registry)

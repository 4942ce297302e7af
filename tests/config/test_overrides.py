"""Overrides and Python mappings. Oracle: what the file would say with the change written into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from diffloom.config import Resolved, load, parse
from diffloom.errors import ConfigError
from diffloom.registry import Registry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complete: str) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.yaml").write_text(complete)
    return tmp_path


def problems(source: Any, registry: Registry, overrides: Sequence[str] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(source, overrides, registry=registry)
    return [str(problem) for problem in caught.value.problems]


def given(text: str, registry: Registry) -> Resolved:
    return parse(text, name="f.yaml", registry=registry)


# overrides


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.lr=2e-3", "train.lr", 2e-3),
        ("backbone.channels=[16, 32, 64]", "backbone.channels", (16, 32, 64)),
        ("sampling.guidance={type: classifier_free, scale: 3}", "sampling.guidance.scale", 3.0),
        ("sampling.guidance.scale=3", "sampling.guidance.scale", 3.0),
        ("schedule.steps=500", "schedule.steps", 500),  # into a short form
        ("sampling.spacing.offset=1", "sampling.spacing.offset", 1),  # into a part that stands by default
        ("sampling.sampler.eta=1", "sampling.sampler.eta", 1.0),
        ("train.grad_clip=", "train.grad_clip", None),
        ("train.grad_clip=null", "train.grad_clip", None),
        (" train.seed = 7 ", "train.seed", 7),
    ],
)
def test_overrides(folder: Path, registry: Registry, override: str, path: str, value: Any) -> None:
    resolved = load("digits.yaml", [override], registry=registry)
    found: Any = resolved.document
    for key in path.split("."):
        found = getattr(found, key)
    assert found == value
    assert resolved.origin(path) == f"override {override!r}"


def test_overriding_the_type_discards_the_fields(folder: Path, registry: Registry) -> None:
    document = load("digits.yaml", ["backbone.type=acme-moon/crater"], registry=registry).document
    assert document.backbone.canonical == "acme-moon/crater"


def test_overrides_use_the_names_of_the_file(folder: Path, registry: Registry) -> None:
    Path("top.yaml").write_text("use: acme-moon\nextends: digits.yaml\nbackbone: crater\n")
    document = load("top.yaml", ["sampling.spacing=leading"], registry=registry).document
    assert document.sampling.spacing.canonical == "acme-moon/leading"


def test_later_overrides_win(folder: Path, registry: Registry) -> None:
    document = load("digits.yaml", ["train.steps=5", "train.steps=6"], registry=registry).document
    assert document.train is not None
    assert document.train.steps == 6


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.lr=fast", "train.lr: expected a number, got 'fast'"),
        ("train.lrr=1", "train.lrr: unknown key; did you mean 'lr'?"),
        ("train.lr", "expected key.path=value, such as train.steps=100"),
        ("=3", "expected key.path=value, such as train.steps=100"),
        ("train..lr=3", "expected key.path=value, such as train.steps=100"),
        ("train.lr=!!float 3", "train.lr: the tag '!!float' is not allowed; write the plain value"),
        (
            "sampling.guidance=#3",
            "sampling.guidance: nothing but a comment; put a value that holds # in quotes",
        ),
        ("train={lr: 1, lr: 2}", "train.lr: given twice; first before"),
        (
            "train.lr=[1",
            "not valid YAML: expected ',' or ']', but got the end of the text "
            "(while parsing a flow sequence that begins at line 1, column 1)",
        ),
        ("space.type=3", "space.type: expected the name of a space, got 3"),
    ],
)
def test_override_mistakes(folder: Path, registry: Registry, override: str, problem: str) -> None:
    assert problems("digits.yaml", registry, [override])[0] == f"override {override!r}: {problem}"


# Python mappings


def test_mapping(folder: Path, registry: Registry) -> None:
    """A mapping is read like a file: short forms, extends, overrides."""
    resolved = load(
        {"extends": "digits.yaml", "space": "pixel", "backbone": {"channels": [8, 8]}},
        ["train.steps=5"],
        registry=registry,
    )
    assert resolved.document.backbone.channels == (8, 8)  # type: ignore[attr-defined]
    assert resolved.origin("backbone.channels") == "given"
    assert resolved.given == "extends: digits.yaml\nspace: pixel\nbackbone:\n  channels: [8, 8]\n"


def test_mapping_mistakes(folder: Path, registry: Registry) -> None:
    source = {"extends": "digits.yaml", "train": {"lr": object(), 3: 4}, "image": {"size": 8.5}}
    assert problems(source, registry) == [
        "train.lr: expected text, a number, a list or a mapping, got an object of object",
        "train.3: keys are text, not 3",
    ]
    del source["train"]
    assert problems(source, registry) == [
        "image.size: expected a whole number or a list of 2 whole numbers, got 8.5"
    ]

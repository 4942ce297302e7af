"""The resolved text: it loads again to an equal document, and says where every value comes from."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from diffloom.config import Document, digest, load, parse, to_yaml
from diffloom.config.plain import components, lines, plain
from diffloom.errors import PluginError
from diffloom.registry import Registry

text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
words = [
    *"~-#'\"\\{[@%`?|>=é😀\ud7ff\n\t\x85\u2028",
    "null",
    "yes",
    "No",
    "1e-4",
    "0x1",
    "*a",
    "&a",
    "!x",
    "<<",
]
tricky = st.sampled_from([*words, "", "- a", "a: b", "a #b", " a", "a "])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | tricky
)
free = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | tricky, inner, max_size=3),
    max_leaves=6,
)
spacing = st.sampled_from(["leading", "trailing"]).map("diffloom/{}".format) | st.fixed_dictionaries(
    {"type": st.sampled_from(["acme-moon/leading", "diffloom/trailing"]), "offset": st.integers(-5, 5)}
)
crater = st.fixed_dictionaries(
    {"type": st.just("acme-moon/crater")},
    optional={
        "first": spacing,
        "second": st.fixed_dictionaries({"offset": st.integers()}),
        "maybe": st.none() | spacing,
        "named": st.dictionaries(text | tricky, spacing, max_size=2),
        "listed": st.lists(spacing, max_size=2),
        "pair": st.tuples(spacing, st.just("ddim")),
        "mare": st.fixed_dictionaries({"depth": st.integers()}, optional={"spacing": spacing}),
        "maria": st.lists(st.fixed_dictionaries({"depth": st.integers()}), max_size=2),
        "size": st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9)),
        "free": st.dictionaries(text | tricky, free, max_size=3),
        "limit": st.floats(0, math.inf),
    },
)
folder = st.fixed_dictionaries(
    {"type": st.just("folder"), "folder": text.filter(lambda t: "\0" not in t)},
    optional={"fractions": st.lists(st.floats(0, 1)), "exclude": st.lists(text, unique=True)},
)
documents = st.fixed_dictionaries(
    {
        "image": st.fixed_dictionaries({"size": st.integers(1, 64)}),
        "backbone": crater,
        "schedule": st.just("linear"),
        "prediction": st.just("epsilon"),
        "sampling": st.fixed_dictionaries({"sampler": st.just("ddim"), "steps": st.integers(1, 1000)}),
    },
    optional={
        "conditioners": st.dictionaries(text | tricky, st.just("label"), max_size=1),
        "data": st.none() | folder,
    },
)


@given(documents)
def test_round_trip(registry: Registry, source: dict[str, Any]) -> None:
    resolved = load(source, registry=registry)
    again = parse(resolved.to_yaml(), name="resolved", registry=registry)
    assert again.document == resolved.document
    assert again.digest == resolved.digest
    assert again.to_yaml() == resolved.to_yaml() == to_yaml(resolved.document, registry)
    assert parse(resolved.given, name="given", registry=registry).document == resolved.document


@given(st.dictionaries(text | tricky, free, max_size=4))
def test_ruamel_reads_what_we_write(value: dict[str, Any]) -> None:
    """Our YAML means the same to another YAML 1.2 reader."""
    written = "".join(f"{line}\n" for line, _ in lines(plain(value))) or "{}\n"
    theirs = YAML(typ="safe", pure=True).load(written)
    assert json.dumps(theirs, sort_keys=True) == json.dumps(value, sort_keys=True)


def test_resolved_text(registry: Registry, complete: str) -> None:
    source = complete.replace("type: net\n  channels: [32, 64]", "type: acme-moon/crater\n  limit: .inf")
    assert (
        parse(source, name="f", registry=registry).to_yaml()
        == """\
image:
  size: 8
  channels: 1
  buckets: null
space:
  type: diffloom/pixel
attention:
  type: diffloom/auto
weights: null
conditioners:
  label:
    type: diffloom/label
    dropout: 0.1
    classes: 10
backbone:
  type: acme-moon/crater
  weights: null
  learn_variance: false
  self_conditioning: false
  first:
    type: acme-moon/leading
    offset: 0
  second:
    type: diffloom/trailing
    offset: 3
  maybe: null
  named: {}
  listed: []
  pair: null
  mare: null
  maria: []
  size: 1
  free: {}
  limit: .inf
schedule:
  type: diffloom/linear
  steps: 1000
  beta_end: 0.02
prediction:
  type: diffloom/epsilon
variance:
  type: diffloom/fixed_small
objective:
  type: diffloom/simple
  self_conditioning: false
sampling:
  sampler:
    type: diffloom/ddim
    eta: 0.0
  steps: 50
  spacing:
    type: diffloom/leading
    offset: 0
  end: clean
  clip: null
  guidance:
    type: diffloom/classifier_free
    scale: 2.0
  corrections: []
  precision: auto
  compile: false
  caching: null
  offload: false
data: null
latents: null
"""
        + parse(complete, name="f", registry=registry)
        .to_yaml()
        .partition("data: null\nlatents: null\n")[2]
        .replace("plugins:\n", 'plugins:\n  acme-moon: "1.2"\n')
    )


def test_versions_of_exactly_the_plugins_used(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document
    assert document.plugins == {"diffloom": "1.2"}
    assert to_yaml(document, registry).endswith('\nplugins:\n  diffloom: "1.2"\n')


def test_digest_is_of_canonical_json(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document
    values = {key: value for key, value in plain(document).items() if key != "plugins"}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert digest(document) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("lr: 1e-4", "lr: 0.0001", True),
        ("type: net", "type: diffloom/net", True),
        ("schedule: linear", "space: pixel\nschedule: {type: linear, steps: 1000}", True),
        ("lr: 1e-4", "lr: 2e-4", False),
        ("scale: 2", "scale: 3", False),
        ("type: net", "type: acme-moon/net", False),
    ],
)
def test_digest_is_of_the_meaning(registry: Registry, complete: str, old: str, new: str, same: bool) -> None:
    digests = [
        parse(text, name="f", registry=registry).digest for text in (complete, complete.replace(old, new))
    ]
    assert (digests[0] == digests[1]) is same


def test_digest_ignores_versions(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document
    assert digest(document.model_copy(update={"plugins": {"diffloom": "9"}})) == digest(document)


def test_changed_documents_are_written(registry: Registry, complete: str) -> None:
    """Training fills in what the data know."""
    document = parse(complete, name="f", registry=registry).document
    label = document.conditioners["label"].model_copy(update={"classes": 3})
    changed = document.model_copy(update={"conditioners": {"label": label}})
    assert parse(to_yaml(changed, registry), name="f", registry=registry).document == changed
    assert digest(changed) != digest(document)


def test_components_of_nobody_cannot_be_written(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document

    class Stray(type(document.schedule)):  # type: ignore[misc]
        """Never registered."""

        canonical = ""

    with pytest.raises(PluginError, match="Stray is not registered, so no file can name it"):
        to_yaml(document.model_copy(update={"schedule": Stray()}), registry)


def test_documents_are_frozen(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document
    for part in (document, document.sampling, *components(document)):
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, next(iter(type(part).model_fields), "x"), 1)


def test_origins(tmp_path: Path, registry: Registry, complete: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text(complete)
    Path("mine.yaml").write_text("extends: digits.yaml\ntrain:\n  optimizer: {betas: [0, 1]}\n")
    resolved = load("mine.yaml", ["train.lr=2e-4"], registry=registry)
    assert {
        path: resolved.origin(path)
        for path in (
            "image.size",
            "space.type",
            "conditioners.label.dropout",
            "backbone.channels",
            "schedule.type",
            "schedule.steps",
            "train.optimizer.betas",
            "train.optimizer.betas[0]",
            "train.lr",
            "train.seed",
            "plugins.diffloom",
        )
    } == {
        "image.size": "digits.yaml:1:15",
        "space.type": "default",
        "conditioners.label.dropout": "digits.yaml:3:33",
        "backbone.channels": "digits.yaml:6:13",
        "schedule.type": "digits.yaml:7:11",
        "schedule.steps": "default",
        "train.optimizer.betas": "mine.yaml:3:22",
        "train.optimizer.betas[0]": "mine.yaml:3:23",
        "train.lr": "override 'train.lr=2e-4'",
        "train.seed": "default",
        "plugins.diffloom": "installed",
    }
    with pytest.raises(KeyError, match=r"train\.lrr"):
        resolved.origin("train.lrr")


def test_every_leaf_has_an_origin(registry: Registry, complete: str) -> None:
    resolved = parse(complete, name="f", registry=registry)
    assert all(bool(origin) is not line.endswith(":") for line, origin in resolved.lines())
    assert {origin.partition(":")[0] for _, origin in resolved.lines()} == {"", "f", "default", "installed"}


def test_document_is_what_core_says(registry: Registry, complete: str) -> None:
    assert isinstance(parse(complete, name="f", registry=registry).document, Document)

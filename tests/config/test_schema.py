"""The JSON Schema: valid by its own meta-schema, true to what loads and what does not, shipped fresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from diffloom.config import load, parse
from diffloom.config.files import shipped, shipped_folder
from diffloom.config.node import Findings, Source
from diffloom.config.plain import plain
from diffloom.config.reader import read
from diffloom.config.resolve import plain as values_of
from diffloom.config.schema import json_schema, schema_text
from diffloom.errors import ConfigError
from diffloom.kinds import KINDS
from diffloom.plugins import load_registry
from diffloom.registry import Registry

FIRST_LINE = "# yaml-language-server: $schema=schema.json"
SHIPPED = [shipped_folder() / f"{name}.yaml" for name in shipped()]


def listed(value: Any) -> Any:
    """JSON's own types: jsonschema takes a tuple for no array."""
    return json.loads(json.dumps(value))


def values(text: str) -> Any:
    """A text's own values, `use:` and `extends:` included, as an editor sees them."""
    node = read(text, source=Source("f"), findings=Findings())
    assert node is not None
    return listed(values_of(node))


@pytest.fixture(scope="session")
def validator(registry: Registry) -> Draft202012Validator:
    schema = listed(json_schema(registry))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def complaints(validator: Draft202012Validator, value: Any) -> list[str]:
    """Paths of what is wrong, the outermost that no alternative allows."""
    return sorted(".".join(map(str, error.absolute_path)) for error in validator.iter_errors(value))


def test_every_reference_is_defined(registry: Registry) -> None:
    text = schema_text(registry)
    schema = json.loads(text)
    references = {
        line.split('"')[3].removeprefix("#/$defs/") for line in text.splitlines() if '"$ref"' in line
    }
    assert references <= schema["$defs"].keys()
    assert set(KINDS) <= schema["$defs"].keys()


CHANNELS = "type: net\n  channels: [32, 64]"
CRATER = "type: acme-moon/crater\n  "
ACCEPTED = [
    [],
    [("linear", "{type: linear, steps: 99}"), ("ddim", "diffloom/ddim")],
    [(CHANNELS, f"{CRATER}first: trailing\n  pair: [leading, ddim]\n  size: [1, 2]\n  limit: 3")],
    [(CHANNELS, f"{CRATER}named: {{a: {{type: trailing, offset: 1}}}}\n  free: {{type: [1, null]}}")],
    [(CHANNELS, f"{CRATER}second: {{offset: 1}}\n  maria: [{{depth: 1, spacing: {{offset: 1}}}}]")],
    [("type: net", "type: acme-moon/net")],
    [(CHANNELS, "type: crater"), ("image:", "use: [acme-moon, diffloom]\nimage:")],
    [("steps: 50", "steps: 50\n  spacing: {offset: 1}")],  # the default's field, without its type
    [("steps: 50", "steps: 50\n  clip: 1\n  spacing: {type: trailing, offset: 1}")],
    [("size: 8", "size: [8, 8]")],
    [("{type: classifier_free, scale: 2}", "null")],
]
REFUSED = [
    ([("lr: 1e-4", "lr: fast")], ["train"]),
    ([("lr: 1e-4", "lr: 0")], ["train"]),
    ([("lr: 1e-4", "lr: 1e-4\n  lrr: 3")], ["train"]),
    ([("channels: [32, 64]", "chanels: [32, 64]")], ["backbone"]),
    ([("channels: [32, 64]", "channels: [32, x]")], ["backbone"]),
    ([("type: net", "type: nett")], ["backbone"]),
    ([("schedule: linear", "schedule: linnear")], ["schedule"]),
    ([("schedule: linear\n", "")], [""]),
    ([("dropout: 0.1", "dropout: 2")], ["conditioners.label"]),
    ([("prediction: epsilon", "prediction: epsilon\ndata: {type: folder}")], ["data"]),
    ([("prediction: epsilon", "prediction: epsilon\ndata: folder")], ["data"]),
    ([("prediction: epsilon", "predictions: epsilon\nprediction: epsilon")], [""]),
]


def changed(text: str, changes: list[tuple[str, str]]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("changes", ACCEPTED)
def test_accepts_what_loads(
    validator: Draft202012Validator, registry: Registry, complete: str, changes: list[tuple[str, str]]
) -> None:
    text = changed(complete, changes)
    resolved = parse(text, name="f", registry=registry)
    assert complaints(validator, values(text)) == []
    assert complaints(validator, listed(plain(resolved.document))) == []


@pytest.mark.parametrize(("changes", "paths"), REFUSED)
def test_refuses_what_does_not_load(
    validator: Draft202012Validator,
    registry: Registry,
    complete: str,
    changes: list[tuple[str, str]],
    paths: list[str],
) -> None:
    text = changed(complete, changes)
    with pytest.raises(ConfigError):
        parse(text, name="f", registry=registry)
    found = complaints(validator, values(text))
    assert found
    assert all(any(path.startswith(whole) for whole in paths) for path in found)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("extends: base.yaml", True),
        ("extends: [base.yaml, diffloom:digits]\ntrain: {steps: 3}", True),
        ("extends: base.yaml\nbackbone: {channels: [1]}\nsampling: {guidance: {scale: 3}}", True),
        ("extends: base.yaml\ndata: {exclude: [a]}", True),
        ("extends: base.yaml\ntrain: {step: 3}", False),
        ("extends: base.yaml\nbackbone: {chanels: [1]}", False),
        ("extends: 3", False),
        ("use: [diffloom, 3]\nextends: a.yaml", False),
    ],
)
def test_files_that_extend_need_not_be_complete(
    validator: Draft202012Validator, text: str, good: bool
) -> None:
    assert (complaints(validator, values(text)) == []) is good


def test_what_editors_show(registry: Registry) -> None:
    definitions = json_schema(registry)["$defs"]
    net = definitions["backbone.diffloom.net"]
    assert net["description"] == "A network."
    assert net["required"] == ["type"]
    assert net["additionalProperties"] is False
    assert net["properties"]["type"]["enum"] == ["net", "diffloom/net"]
    assert net["properties"]["channels"]["description"] == "Channels of each level."
    assert net["properties"]["channels"]["default"] == [64, 128]
    assert net["properties"]["activation"]["enum"] == ["silu", "gelu"]
    assert definitions["backbone.acme-moon.net"]["properties"]["type"]["enum"] == ["acme-moon/net", "net"]
    assert {"const": "net", "description": "A network."} in definitions["backbone"]["anyOf"]
    assert definitions["document"]["properties"]["space"]["default"] == "pixel"
    assert "required" not in definitions["partial.backbone.diffloom.net"]


def test_only(registry: Registry) -> None:
    ours = schema_text(registry, only=["diffloom"])
    assert "acme-moon" not in ours
    assert "diffloom/net" in ours
    assert "acme-moon/crater" in schema_text(registry)
    assert json_schema(registry, only=["nobody"])["$defs"]["backbone"]["not"] == {}


def test_shipped_schema_is_fresh() -> None:
    fresh = schema_text(load_registry(), only=["diffloom"])
    shipped = (shipped_folder() / "schema.json").read_text(encoding="utf-8")
    assert shipped == fresh, "run `diffloom schema --only diffloom -o configs/schema.json`"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configurations(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == FIRST_LINE
    schema = json.loads((shipped_folder() / "schema.json").read_text(encoding="utf-8"))
    assert complaints(Draft202012Validator(schema), values(text)) == []
    assert load(path, registry=load_registry()).document.train is not None

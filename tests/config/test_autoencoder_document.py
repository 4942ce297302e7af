"""The second sort of file. Oracles: exact messages with their places; the JSON Schema beside the loader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from diffloom.config import AutoencoderDocument, Document, load, parse, require_diffusion, to_yaml
from diffloom.config.node import Findings, Source
from diffloom.config.plain import plain
from diffloom.config.reader import read
from diffloom.config.resolve import plain as values_of
from diffloom.config.schema import json_schema
from diffloom.errors import ConfigError
from diffloom.registry import Registry

Told = Callable[..., list[str]]
FILE = """\
image: {size: 8, channels: 1}
space: {type: latent, factor: 2}
autoencoder:
  criteria:
    - lp
    - {type: lp, p: 2, weight: 0.5}
    - {type: rival, start_step: 11}
  regularisation: 1e-4
train: {steps: 20, batch_size: 4, lr: 1e-3}
"""


def changed(*changes: tuple[str, str]) -> str:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.fixture
def told(registry: Registry) -> Told:
    """The problems of the file with changes, as a user sees them."""

    def problems(*changes: tuple[str, str]) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            parse(changed(*changes), name="ae.yaml", registry=registry)
        return [str(problem) for problem in caught.value.problems]

    return problems


def test_it_is_read(registry: Registry) -> None:
    resolved = parse(FILE, name="ae.yaml", registry=registry)
    document = resolved.document
    assert isinstance(document, AutoencoderDocument)
    lp, square, rival = (plain(criterion) for criterion in document.autoencoder.criteria)
    assert lp == {"type": "diffloom/lp", "weight": 1.0, "start_step": 1, "p": 1.0}
    assert (square["p"], square["weight"], rival["start_step"]) == (2.0, 0.5, 11)
    assert document.autoencoder.regularisation == 1e-4
    assert document.space_info.shape == (4, 4, 4)
    assert resolved.origin("autoencoder.criteria[1].p") == "ae.yaml:6:21"
    assert resolved.origin("autoencoder.criteria[0].weight") == "default"


def test_its_resolved_text_says_the_same(registry: Registry) -> None:
    document = parse(FILE, name="ae.yaml", registry=registry).document
    text = to_yaml(document, registry)
    again = parse(text, name="resolved", registry=registry).document
    assert to_yaml(again, registry) == text
    assert [line.split(":")[0] for line in text.splitlines() if line[0].isalpha()] == [
        "image",
        "space",
        "attention",
        "autoencoder",
        "data",
        "train",
        "plugins",
    ]


def test_a_diffusion_model_is_another_document(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document
    assert isinstance(document, Document)
    assert require_diffusion(document, place="f") is document


def test_commands_that_need_a_diffusion_model_say_so(registry: Registry) -> None:
    document = parse(FILE, name="ae.yaml", registry=registry).document
    with pytest.raises(ConfigError) as caught:
        require_diffusion(document, place="runs/ae")
    assert str(caught.value) == (
        "runs/ae: is an autoencoder by itself, with no diffusion model to build or sample; "
        "diffloom.load_component gives its network, and a diffusion model's `space:` may name it"
    )


def test_extending_and_overriding(registry: Registry, tmp_path: Path) -> None:
    """The criteria replace as lists do; a changed space keeps its fields, as parts do."""
    (tmp_path / "base.yaml").write_text(FILE)
    (tmp_path / "top.yaml").write_text(
        "extends: base.yaml\nspace: {shift: 2}\ntrain: {steps: 30}\nautoencoder: {criteria: [rival, lp]}\n"
    )
    overrides = ["autoencoder.criteria=[{type: lp, p: 3}]", "autoencoder.regularisation=0"]
    document = load(tmp_path / "top.yaml", overrides, registry=registry).document
    assert isinstance(document, AutoencoderDocument)
    assert plain(document.space) == {
        "type": "diffloom/latent",
        "factor": 2,
        "shift": 2.0,
    }
    assert [plain(criterion)["p"] for criterion in document.autoencoder.criteria] == [3.0]
    assert document.autoencoder.regularisation == 0
    assert document.train is not None
    assert document.train.steps == 30


def test_everything_at_once(told: Told) -> None:
    found = told(
        ("factor: 2", "factr: 2"),
        ("- lp", "- lpp"),
        ("p: 2", "p: -2"),
        ("start_step: 11", "start_stop: 11"),
        ("regularisation: 1e-4", "regularisation: much"),
        ("train: {steps: 20", "tran: 1\ntrain: {steps: x"),
    )
    assert found == [
        "ae.yaml:2:1: space.factor: required, but missing",
        "ae.yaml:2:23: space.factr: unknown key of diffloom/latent; did you mean 'factor'?",
        "ae.yaml:5:7: autoencoder.criteria[0]: unknown criterion 'lpp'; did you mean 'lp'?",
        "ae.yaml:6:21: autoencoder.criteria[1].p: must be greater than 0, got -2",
        "ae.yaml:7:21: autoencoder.criteria[2].start_stop: unknown key of diffloom/rival; "
        "did you mean 'start_step'?",
        "ae.yaml:8:19: autoencoder.regularisation: expected a number, got 'much'",
        "ae.yaml:9:1: tran: unknown key; did you mean 'train'?",
        "ae.yaml:10:16: train.steps: expected a whole number, got 'x'",
    ]


def test_it_names_its_space(told: Told) -> None:
    """Pixels, which a diffusion model has when it says nothing, cannot be trained."""
    assert told(("space: {type: latent, factor: 2}\n", "")) == ["ae.yaml:1:1: space: required, but missing"]


def test_it_needs_a_criterion(told: Told) -> None:
    listed = FILE[FILE.index("\n    - lp") : FILE.index("  regul")]
    assert told((listed, " []\n")) == [
        "ae.yaml:4:13: autoencoder.criteria: must have at least 1 items, got 0"
    ]


def test_one_file_trains_one_thing(told: Told, registry: Registry, complete: str) -> None:
    """One clear error for all that does not belong, and the other mistakes beside it."""
    backbone = "schedule: linear\nbackbone: {type: nett}\nautoencoder:"
    assert told(("autoencoder:", backbone), ("p: 2", "p: x")) == [
        "ae.yaml:5:1: autoencoder: a file trains an autoencoder or a diffusion model, and `schedule:`, `backbone:` "
        "belong to the latter; put them into two files: the diffusion model's names the trained autoencoder as its "
        "`space:`",
        "ae.yaml:8:21: autoencoder.criteria[1].p: expected a number, got 'x'",
    ]
    with pytest.raises(
        ConfigError, match=r"^override 'autoencoder.regularisation=0': autoencoder: a file trains"
    ):
        load(plain_mapping(complete), ["autoencoder.regularisation=0"], registry=registry)


def plain_mapping(text: str) -> dict[str, object]:
    node = read(text, source=Source("f"), findings=Findings())
    assert node is not None
    value = values_of(node)
    assert isinstance(value, dict)
    return value


def test_a_misspelt_section_is_recognised(told: Told) -> None:
    assert "ae.yaml:3:1: autoencodr: unknown key; did you mean 'autoencoder'?" in told(
        ("autoencoder:", "autoencodr:")
    )


def test_what_cannot_work_together(told: Told) -> None:
    assert told(
        ("size: 8", "size: 7"),
        ("start_step: 11", "start_step: 21"),
        ("lr: 1e-3", "lr: 1, lr_schedule: {warmup_steps: 99}"),
    ) == [
        "ae.yaml:2:8: space: a latent is 2×2 pixels",
        "ae.yaml:7:33: autoencoder.criteria[2].start_step: diffloom/rival would begin at step 21 of a run of 20, and "
        "never count; set it lower, set train.steps higher, or remove the criterion",
        "ae.yaml:9:70: train.lr_schedule.warmup_steps: the warm-up of 99 steps is longer than the run of 20, which "
        "would never reach train.lr; shorten it, or set train.steps higher",
    ]


@pytest.mark.parametrize(
    "change",
    [
        [("    - lp\n    - {type: lp, p: 2, weight: 0.5}\n", "")],
        [("- lp", "- {type: lp, start_step: 12}"), ("weight: 0.5", "start_step: 12")],
    ],
)
def test_a_relative_criterion_needs_one_before_it(told: Told, change: list[tuple[str, str]]) -> None:
    (problem,) = told(*change)
    assert problem.endswith(
        "diffloom/rival weighs itself against the criteria before it, and none of them counts at its "
        "start_step 11; put one before it, such as lp"
    )


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ([], True),
        ([("lp\n", "{type: diffloom/lp, p: 3}\n")], True),
        ([("image:", "extends: other.yaml\nimage:"), ("space: {type: latent, factor: 2}\n", "")], True),
        ([("space: {type: latent, factor: 2}\n", "")], False),
        ([("- lp", "- lpp")], False),
        ([("p: 2", "p: x")], False),
        ([("train:", "schedule: linear\ntrain:")], False),
        ([("  regularisation", "  regularization")], False),
    ],
)
def test_the_schema_agrees_with_the_loader(
    registry: Registry, tmp_path: Path, change: list[tuple[str, str]], good: bool
) -> None:
    text = changed(*change)
    schema = json.loads(json.dumps(json_schema(registry)))
    Draft202012Validator.check_schema(schema)
    errors = list(Draft202012Validator(schema).iter_errors(json.loads(json.dumps(plain_mapping(text)))))
    assert (errors == []) is good
    (tmp_path / "other.yaml").write_text(FILE)
    (tmp_path / "ae.yaml").write_text(text)
    if good:
        assert isinstance(load(tmp_path / "ae.yaml", registry=registry).document, AutoencoderDocument)
    else:
        with pytest.raises(ConfigError):
            load(tmp_path / "ae.yaml", registry=registry)

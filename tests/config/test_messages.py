"""Every kind of mistake in a file, told with its exact place and words, all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from diffloom.config import parse
from diffloom.errors import ConfigError
from diffloom.registry import Registry

Told = Callable[[str], list[str]]


@pytest.fixture
def told(registry: Registry) -> Told:
    """The problems of a text, as a user sees them."""

    def problems(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            parse(text, name="digits.yaml", registry=registry)
        return [str(problem) for problem in caught.value.problems]

    return problems


def test_everything_at_once(told: Told) -> None:
    text = """\
image: {size: x, channels: -1}
spce: pixel
conditioners:
  label: {type: labl, dropout: 1.5}
  words: {type: words, dropout: 1.5}
backbone:
  type: net
  chanels: 3
  channels: [32, x, -1]
  activation: sillu
schedule: linnear
prediction: 3
sampling:
  sampler: acme-mars/x
  steps: 50.5
  guidance: {scale: 2}
train:
  steps: true
  lr: fast
  optimizer: {betas: [0.9]}
  lr_schedule: {warmup_steps: -1}
  grad_clip: .inf
  ema: {decay: 1, warmup: yes}
"""
    assert told(text) == [
        "digits.yaml:1:15: image.size: expected a whole number or a list of 2 whole numbers, got 'x'",
        "digits.yaml:1:28: image.channels: must be greater than 0, got -1",
        "digits.yaml:2:1: spce: unknown key; did you mean 'space'?",
        "digits.yaml:4:17: conditioners.label.type: unknown conditioner 'labl'; did you mean 'label'?",
        "digits.yaml:5:33: conditioners.words.dropout: must be at most 1, got 1.5",
        "digits.yaml:8:3: backbone.chanels: unknown key of diffloom/net; did you mean 'channels'?",
        "digits.yaml:9:18: backbone.channels[1]: expected a whole number, got 'x'",
        "digits.yaml:9:21: backbone.channels[2]: must be greater than 0, got -1",
        "digits.yaml:10:15: backbone.activation: expected 'silu' or 'gelu', got 'sillu'; did you mean 'silu'?",
        "digits.yaml:11:11: schedule: unknown schedule 'linnear'; did you mean 'linear'?",
        "digits.yaml:12:13: prediction: expected a prediction: a name, or a mapping with `type`; got 3",
        "digits.yaml:14:12: sampling.sampler: sampler 'acme-mars/x': acme-mars is not installed; "
        "try `pip install acme-mars`",
        "digits.yaml:15:10: sampling.steps: expected a whole number, got 50.5",
        "digits.yaml:16:3: sampling.guidance.type: required, but missing; there are diffloom/classifier_free",
        "digits.yaml:17:1: train.batch_size: required, but missing",
        "digits.yaml:18:10: train.steps: expected a whole number, got true",
        "digits.yaml:19:7: train.lr: expected a number, got 'fast'",
        "digits.yaml:20:22: train.optimizer.betas: expected a list of 2 numbers, got [0.9]",
        "digits.yaml:21:31: train.lr_schedule.warmup_steps: must be at least 0, got -1",
        "digits.yaml:22:14: train.grad_clip: expected a finite number, got .inf",
        "digits.yaml:23:16: train.ema.decay: must be less than 1, got 1",
        "digits.yaml:23:27: train.ema.warmup: expected true or false, got 'yes'",
    ]


def test_missing_keys_stand_at_their_mapping(told: Told) -> None:
    assert told("# first a comment\nimage: {}\n\nsampling:\n  steps: 3\n") == [
        "digits.yaml:2:1: image.size: required, but missing",
        "digits.yaml:2:1: backbone: required, but missing",
        "digits.yaml:2:1: schedule: required, but missing",
        "digits.yaml:2:1: prediction: required, but missing",
        "digits.yaml:4:1: sampling.sampler: required, but missing",
    ]


# One line of the backbone `acme-moon/crater` at a time: parts inside parts, unions, containers, constraints.
@pytest.mark.parametrize(
    ("line", "problems"),
    [
        ("size: [1, x]", ["4:13: backbone.size[1]: expected a whole number, got 'x'"]),
        (
            "size: [1]",
            ["4:9: backbone.size: expected a list of 2 whole numbers, got [1]"],
        ),
        ("size: 0", ["4:9: backbone.size: must be greater than 0, got 0"]),
        (
            "size: {a: 1}",
            ["4:9: backbone.size: expected a whole number or a list of 2 whole numbers, got a mapping"],
        ),
        ("size:", ["4:8: backbone.size: expected a whole number or a list of 2 whole numbers, got null"]),
        ("maybe: {offset: 1}", ["4:3: backbone.maybe.type: required, but missing; there are {spacings}"]),
        (
            "maybe: {type: leding}",
            ["4:17: backbone.maybe.type: unknown spacing 'leding'; did you mean 'leading'?"],
        ),
        ("maybe: {type: [a]}", ["4:17: backbone.maybe.type: expected the name of a spacing, got ['a']"]),
        ("maybe: [a]", ["4:10: backbone.maybe: expected a spacing or null, got ['a']"]),
        ("first: {offset: x}", ["4:19: backbone.first.offset: expected a whole number, got 'x'"]),
        (
            "second: {ofset: 1}",
            ["4:12: backbone.second.ofset: unknown key of diffloom/trailing; did you mean 'offset'?"],
        ),
        ("named: [a]", ["4:10: backbone.named: expected a mapping, got ['a']"]),
        (
            "named: {a: trailing, b: x}",
            ["4:27: backbone.named.b: unknown spacing 'x'; there are leading, trailing"],
        ),
        ("listed: trailing", ["4:11: backbone.listed: expected a list, got 'trailing'"]),
        (
            "listed: [trailing, {type: trailing, offset: .5}]",
            ["4:47: backbone.listed[1].offset: expected a whole number, got 0.5"],
        ),
        (
            "pair: [trailing, trailing]",
            ["4:20: backbone.pair[1]: unknown sampler 'trailing'; there are ancestral, ddim"],
        ),
        ("mare: {}", ["4:3: backbone.mare.depth: required, but missing"]),
        ("mare: 3", ["4:9: backbone.mare: expected a mapping or null, got 3"]),
        ("maria: [3]", ["4:11: backbone.maria[0]: expected a mapping of keys, got 3"]),
        (
            "maria: [{depth: 1}, {depth: x, spacing: 1}]",
            [
                "4:31: backbone.maria[1].depth: expected a whole number, got 'x'",
                "4:43: backbone.maria[1].spacing: expected a spacing: a name, or a mapping with `type`; got 1",
            ],
        ),
        ("maria: [{spacing: trailing}]", ["4:11: backbone.maria[0].depth: required, but missing"]),
        ("free: [1]", ["4:9: backbone.free: expected a mapping, got [1]"]),
        ("limit: .nan", []),
        ("limit: -1", ["2:1: backbone: limit is below zero"]),
        ("limit: 1e999", []),
    ],
)
def test_parts_inside_parts(registry: Registry, complete: str, line: str, problems: list[str]) -> None:
    rest = complete.replace("backbone:\n  type: net\n  channels: [32, 64]\n", "")
    text = f"{rest.splitlines()[0]}\nbackbone:\n  type: acme-moon/crater\n  {line}\n" + "\n".join(
        rest.splitlines()[1:]
    )
    spacings = "acme-moon/leading, diffloom/leading, diffloom/trailing"
    found = []
    try:
        parse(text, name="f", registry=registry)
    except ConfigError as error:
        found = [str(problem) for problem in error.problems]
    assert found == [f"f:{problem.replace('{spacings}', spacings)}" for problem in problems]


def test_problems_of_data(told: Told, complete: str) -> None:
    data = "data: {type: folder, folder: [a], fractions: {a: 1}, exclude: [1]}\n"
    assert told(data + complete) == [
        "digits.yaml:1:30: data.folder: expected a path, got ['a']",
        "digits.yaml:1:46: data.fractions: expected a list of numbers, got a mapping",
        "digits.yaml:1:63: data.exclude: expected a list of text, got 1",
    ]


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "1e999"])
def test_numbers_are_finite_unless_a_field_says_otherwise(told: Told, complete: str, number: str) -> None:
    """`allow_inf_nan=True` on the field lets infinity through: the crater's `limit` above."""
    shown = ".inf" if number == "1e999" else number
    assert told(complete.replace("1e-4", number)) == [
        f"digits.yaml:16:7: train.lr: expected a finite number, got {shown}"
    ]


def test_long_values_are_shortened(told: Told, complete: str) -> None:
    (problem,) = told(complete.replace("1e-4", "x" * 5000))
    assert problem == f"digits.yaml:16:7: train.lr: expected a number, got '{'x' * 57}...'"


def test_broken_parts_are_told_once(told: Told, complete: str) -> None:
    """What the reader refused is not judged again, and nor is what it stands in."""
    assert told(complete.replace("ddim", "!x ddim").replace("steps: 50", "steps: fifty")) == [
        "digits.yaml:10:12: sampling.sampler: the tag '!x' is not allowed; write the plain value",
        "digits.yaml:11:10: sampling.steps: expected a whole number, got 'fifty'",
    ]


def test_problems_are_data(registry: Registry) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("[1]", name="x.yaml", registry=registry)
    error: Any = caught.value
    assert (error.exit_code, [(p.place, p.message) for p in error.problems]) == (
        2,
        [("x.yaml:1:1", "expected a mapping of keys, got [1]")],
    )

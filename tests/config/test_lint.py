"""Lint rules: each on a document that it must refuse, with its place and words, and on the nearest good one."""

from __future__ import annotations

import pytest

from diffloom.config import lint, parse
from diffloom.errors import ConfigError
from diffloom.registry import Registry

NO_GUIDANCE = ("{type: classifier_free, scale: 2}", "null")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            [("dropout: 0.1", "dropout: 0")],
            "12:13: sampling.guidance: a scale other than 1 compares with the null condition, which a model "
            "trained with dropout 0 never saw; train with conditioners.label.dropout above 0 (0.1 is usual), "
            "or set sampling.guidance.scale: 1",
        ),
        (
            [("  label: {type: label, dropout: 0.1}\n", ""), ("conditioners:", "conditioners: {}")],
            "11:13: sampling.guidance: guidance steers by a condition, and this model has none; "
            "add conditioners, or set sampling.guidance: null",
        ),
        (
            [("  label: {", "  label: {type: words}\n  steps: {")],
            "4:10: conditioners.steps: 'steps' is an argument of sampling itself; call the condition something else",
        ),
        (
            [("schedule:", "variance: learned\nschedule:")],
            "7:11: variance: diffloom/learned is read from a second set of output channels, which this backbone "
            "does not have; set backbone.learn_variance: true, or take a fixed variance",
        ),
        (
            [("type: net", "type: net\n  learn_variance: true")],
            "6:19: backbone.learn_variance: nothing trains or reads the second set of output channels, since "
            "diffloom/fixed_small is not learned; set it to false, or take a learned variance",
        ),
        (
            [("size: 8", "size: [8, 9]")],
            "5:3: backbone: it divides height and width by 2, and 8×9 (diffloom/pixel of a 8×9 image) is not "
            "divisible by that; change image.size, or take a backbone with fewer levels",
        ),
        (
            [("schedule:", "space: {type: latent, factor: 8}\nschedule:")],
            "5:3: backbone: it divides height and width by 2, and 1×1 (diffloom/latent of a 8×8 image) is not "
            "divisible by that; change image.size, or take a backbone with fewer levels",
        ),
        (
            [("schedule:", "space: {type: latent, factor: 3}\nschedule:")],
            "7:8: space: a latent is 3×3 pixels",
        ),
        (
            [("steps: 50", "steps: 1001")],
            "11:10: sampling.steps: 1001 steps are more than the 1000 times of diffloom/linear; "
            "set sampling.steps to 1000 or less, or lengthen the schedule",
        ),
        (
            [("sampler: ddim", "end: first\n  sampler: ancestral")],
            "10:8: sampling.end: diffloom/ancestral always walks to the clean picture; set sampling.end: clean, or "
            "take a sampler that can stop before, such as ddim",
        ),
        (
            [
                ("sampler: ddim", "end: first\n  sampler: ddim"),
                ("schedule: linear", "schedule: {type: linear, steps: 1}"),
                ("steps: 50", "steps: 1"),
            ],
            "10:8: sampling.end: the walk would begin at the first time too, and have no step to take; set "
            "sampling.end: clean",
        ),
        (
            [("lr: 1e-4", "lr: 1e-4\n  lr_schedule: {warmup_steps: 1001}")],
            "17:31: train.lr_schedule.warmup_steps: the warm-up of 1001 steps is longer than the run of 1000, which "
            "would never reach train.lr; shorten it, or set train.steps higher",
        ),
        (
            [("conditioners:", "conditioners:\n  other: label")],
            "3:3: conditioners: two conditioners both give class ids, and a backbone embeds one set of classes",
        ),
        (
            [("conditioners:", "conditioners:\n  a: words\n  b: {type: words, width: 4}")],
            "3:3: conditioners: token widths 8 and 4 differ",
        ),
        (
            [("conditioners:", "conditioners:\n  a: {type: words, width: 5}")],
            "3:6: conditioners.a: width 5 is odd",
        ),
    ],
)
def test_refused(registry: Registry, complete: str, changes: list[tuple[str, str]], problem: str) -> None:
    text = complete
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(ConfigError) as caught:
        parse(text, name="f", registry=registry)
    assert str(caught.value) == f"f:{problem}"


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [("dropout: 0.1", "dropout: 0"), ("scale: 2", "scale: 1")],
        [("dropout: 0.1", "dropout: 0"), NO_GUIDANCE],
        [("conditioners:", "conditioners:\n  other: words")],  # one of two with dropout is enough
        [("schedule:", "variance: learned\nschedule:"), ("type: net", "type: net\n  learn_variance: true")],
        [("schedule:", "space: {type: latent, factor: 4}\nschedule:")],
        [("steps: 50", "steps: 1000")],
        [("sampler: ddim", "end: first\n  sampler: ddim")],
        [("lr: 1e-4", "lr: 1e-4\n  lr_schedule: {warmup_steps: 1000}")],
    ],
)
def test_accepted(registry: Registry, complete: str, changes: list[tuple[str, str]]) -> None:
    text = complete
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    assert lint(parse(text, name="f", registry=registry).document) == ()


def test_changed_documents_have_dotted_places(registry: Registry, complete: str) -> None:
    document = parse(complete, name="f", registry=registry).document
    sampling = document.sampling.model_copy(update={"steps": 2000})
    (problem,) = lint(document.model_copy(update={"sampling": sampling}))
    assert problem.place == "sampling.steps"
    assert problem.message.startswith("2000 steps are more than the 1000 times")


def test_every_finding_at_once(registry: Registry, complete: str) -> None:
    text = complete.replace("dropout: 0.1", "dropout: 0").replace("size: 8", "size: 9")
    with pytest.raises(ConfigError) as caught:
        parse(text.replace("steps: 50", "steps: 5000"), name="f", registry=registry)
    assert [p.place for p in caught.value.problems] == ["f:5:3", "f:11:10", "f:12:13"]

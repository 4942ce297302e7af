"""Which guidance a model may have: what compares with the null condition needs a model that was shown it."""

from __future__ import annotations

from typing import Any

import pytest

from diffloom import config
from diffloom.errors import ConfigError
from diffloom.plugins import load_registry
from diffloom.testing.guided_model import DOCUMENT

NO_DROPOUT = {"label": {"type": "class_label", "classes": 3, "dropout": 0}}
NO_CONDITION: dict[str, Any] = {}
NEVER_SAW = "compares with the null condition, which a model trained with dropout 0 never saw; train with "
REGISTRY = load_registry()
COMBINED = (
    "{type: combined, parts: [{type: classifier_free, scale: 2}, {type: perturbed_attention, scale: 2}]}"
)


def load(conditioners: dict[str, Any], guidance: str) -> None:
    """The kit's small model with these."""
    config.load(
        {**DOCUMENT, "conditioners": conditioners}, [f"sampling.guidance={guidance}"], registry=REGISTRY
    )


@pytest.mark.parametrize("name", ["classifier_free", "cfg_zero", "apg"])
@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        (
            NO_DROPOUT,
            NEVER_SAW,
            "conditioners.label.dropout above 0 (0.1 is usual), or set sampling.guidance.scale: 1",
        ),
        (
            NO_CONDITION,
            "guidance steers by a condition, and this model has none",
            "set sampling.guidance: null",
        ),
    ],
)
def test_what_compares_is_refused_where_there_is_nothing_to_compare_with(
    name: str, change: dict[str, Any], problem: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(change, f"{{type: {name}, scale: [1, 2]}}")
    assert problem in str(caught.value)
    assert str(caught.value).endswith(remedy)


@pytest.mark.parametrize(
    "guidance",
    [
        "{type: perturbed_attention, scale: 2}",
        "{type: autoguidance, scale: 2, weights: weaker}",
        "{type: classifier_free, scale: 1}",
        "{type: classifier_free, scale: [1, 1]}",
        "{type: combined, parts: [classifier_free, {type: perturbed_attention, scale: 2}]}",
        "null",
    ],
)
@pytest.mark.parametrize("change", [NO_DROPOUT, NO_CONDITION])
def test_what_does_not_compare_is_accepted(guidance: str, change: dict[str, Any]) -> None:
    load(change, guidance)


def test_of_several_the_one_that_compares_is_told() -> None:
    with pytest.raises(ConfigError, match=r"never saw; .*, or leave out the parts that do$"):
        load(NO_DROPOUT, COMBINED)


def test_a_correction_s_space_must_be_said() -> None:
    """Others rescale whatever the network outputs, without a word."""
    with pytest.raises(ConfigError, match=r"sampling.corrections.0.*space"):
        config.load(DOCUMENT, ["sampling.corrections=[{type: rescale}]"], registry=REGISTRY)

"""What a recipe says of the computing. Oracle: the samples drawn again from it."""

from __future__ import annotations

import pytest
import torch

from diffloom import Pipeline
from diffloom.inference import compute
from diffloom.inference.gains import Gains


def test_the_recipe_says_in_what_the_samples_were_computed(small_model: Pipeline) -> None:
    recipe = small_model.sample(label=3, steps=2).recipe
    assert recipe["sampling"]["precision"] == "fp32"
    assert recipe["computed"] == {"device": "cpu", "dtype": "float32", "attention": "diffloom/auto"}


def test_what_auto_was_is_the_same_elsewhere(small_model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn where bf16 is fast, and again, by the recipe's `sampling`, where it is not."""
    monkeypatch.setattr(compute, "LARGE", 1)
    monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(2.0, 2.0))
    out = small_model.sample(label=3, seed=1, steps=3)
    assert out.recipe["sampling"]["precision"] == "bf16"
    assert out.recipe["computed"]["dtype"] == "bfloat16"
    monkeypatch.setattr(compute, "gains", lambda device, threads: Gains(0.5, 0.5))
    document = small_model.document
    sampling = document.sampling.model_copy(update={"precision": out.recipe["sampling"]["precision"]})
    again = Pipeline(
        document.model_copy(update={"sampling": sampling}), small_model.module, small_model.process
    ).sample(label=3, seed=1, steps=3)
    assert torch.equal(again.tensor, out.tensor)
    exact = small_model.sample(label=3, seed=1, steps=3)
    assert exact.recipe["sampling"]["precision"] == "fp32"
    assert 0 < (exact.tensor - out.tensor).abs().max() < 0.1


def test_half_weights_are_drawn_from_as_they_are(small_model: Pipeline) -> None:
    """`auto` says it as well as any word, and does not round a decoder of other weights."""
    weights = {name: weight.clone() for name, weight in small_model.backbone.state_dict().items()}
    small_model.backbone.bfloat16()
    try:
        recipe = small_model.sample(label=3, steps=1).recipe
    finally:
        small_model.backbone.float().load_state_dict(weights)
    assert recipe["sampling"]["precision"] == "auto"
    assert recipe["computed"]["dtype"] == "bfloat16"

"""Conditions and guidance through the Python API. Oracles: the formulas written out here, and counted calls."""

import pytest
import torch
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.conditioning import Conditioning
from diffloom.errors import ConfigError, DiffloomError


def test_a_negative_condition_takes_the_null_one_s_place(small_model: Pipeline) -> None:
    x_t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    found = small_model.denoise(x_t, 600, label=[3, 4], negative={"label": 7}, guidance=2.5)

    def plain(label: object) -> Tensor:
        condition = Condition(class_B=torch.as_tensor(label))
        return small_model.predict(x_t, torch.full((2,), 600.0), condition)

    with torch.no_grad():
        v = plain([7, 7]) + 2.5 * (plain([3, 4]) - plain([7, 7]))
    alpha, sigma = (
        float(f(torch.tensor([600.0]))) for f in (small_model.schedule.alpha, small_model.schedule.sigma)
    )
    torch.testing.assert_close(found.x0_BCHW, (alpha * x_t - sigma * v).clamp(-1, 1), atol=1e-5, rtol=1e-5)


def test_a_negative_condition_alone_leads_away_from_it(small_model: Pipeline) -> None:
    out = small_model.sample(n=2, seed=1, steps=2, guidance=3.0, negative={"label": [1, 2]})
    unguided = small_model.sample(n=2, seed=1, steps=2)
    assert not torch.equal(out.tensor, unguided.tensor)
    assert out.recipe["negative"] == {"label": [1, 2]}
    assert out.recipe_of(1)["negative"] == {"label": [2]}
    assert "negative" not in unguided.recipe


def test_a_condition_that_training_never_dropped_stands_on_both_sides(small_model: Pipeline) -> None:
    configs = {"label": small_model.document.conditioners["label"].model_copy(update={"dropout": 0.0})}
    conditioning = Conditioning(configs, small_model.conditioners, small_model.document.setting)
    opposite = conditioning.opposite({"label": [3, 4]}, {}, device=torch.device("cpu"))
    assert opposite.class_B is not None
    assert opposite.class_B.tolist() == [3, 4]
    known = small_model.conditioning.opposite({"label": [3, 4]}, {}, device=torch.device("cpu"))
    assert known.class_B is not None
    assert known.class_B.tolist() == [10, 10]


def test_the_backbone_prepares_the_conditions_once(small_model: Pipeline) -> None:
    seen: list[Condition] = []
    backbone = small_model.backbone
    backbone.prepare = lambda condition: (seen.append(condition), condition)[1]  # type: ignore[assignment]
    try:
        small_model.sample(label=[3, 4, 5], steps=5, guidance=2.0, batch_size=2)
    finally:
        del backbone.prepare
    assert [len(condition.class_B) for condition in seen] == [4, 2]  # type: ignore[arg-type]  # with the null halves


def test_missing_conditions_are_null_and_need_no_guidance(small_model: Pipeline) -> None:
    seen: list[Tensor] = []
    hook = small_model.backbone.register_forward_hook(lambda _, inputs, __: seen.append(inputs[2].class_B))
    try:
        small_model.sample(n=2, seed=0, steps=1)
        small_model.sample(label=[3, None], seed=0, steps=1, guidance=1.0)
    finally:
        hook.remove()
    assert [rows.tolist() for rows in seen] == [[10, 10], [3, 10]]


def test_guidance_is_one_call_on_both_halves(small_model: Pipeline) -> None:
    seen: list[Tensor] = []
    hook = small_model.backbone.register_forward_hook(lambda _, inputs, __: seen.append(inputs[2].class_B))
    try:
        small_model.sample(label=[3, 7], seed=0, steps=1, guidance=2.0)
    finally:
        hook.remove()
    assert [rows.tolist() for rows in seen] == [[3, 7, 10, 10]]


def test_guidance_on_a_model_without_condition_dropout_is_refused(configs: object) -> None:
    pipe = diffloom.build(
        f"{configs}/digits.yaml", ["conditioners.label.dropout=0", "sampling.guidance=null"]
    )
    with pytest.raises(ConfigError, match="dropout"):
        pipe.sample(label=3, guidance=2.0)
    with pytest.raises(DiffloomError, match="never saw a missing label"):
        pipe.sample(n=2)


def test_a_negative_condition_that_nothing_would_lead_away_from_is_refused(small_model: Pipeline) -> None:
    with pytest.raises(DiffloomError, match="nothing leads away from label; give a guidance scale above 1"):
        small_model.sample(label=3, negative={"label": 7}, guidance=1.0, steps=2)

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
        return small_model.network(x_t, torch.full((2,), 600.0), condition)

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
    backbone.prepare = lambda condition, times: (seen.append(condition), condition)[1]  # type: ignore[assignment]
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


def test_each_sample_may_have_its_scale(small_model: Pipeline) -> None:
    """A sample is what it is alone with its scale, in batches of any size, and its own recipe says that scale."""
    whole = small_model.sample(label=[3, 4, 5], seed=2, steps=3, guidance=[1.0, 2.0, 5.0])
    split = small_model.sample(label=[3, 4, 5], seed=2, steps=3, guidance=[1.0, 2.0, 5.0], batch_size=2)
    torch.testing.assert_close(split.tensor, whole.tensor, rtol=0, atol=1e-5)
    for row, (label, scale) in enumerate([(3, 1.0), (4, 2.0), (5, 5.0)]):
        alone = small_model.sample(label=label, seed=[(2, row)], steps=3, guidance=scale)
        torch.testing.assert_close(alone.tensor[0], whole.tensor[row], rtol=0, atol=1e-5)
        told = whole.recipe_of(row)
        assert told["sampling"]["guidance"]["scale"] == scale
        again = small_model.sample(
            seed=[tuple(told["seeds"][0])],
            steps=told["sampling"]["steps"],
            guidance=told["sampling"]["guidance"],
            **told["conditions"],
        )
        torch.testing.assert_close(again.tensor, alone.tensor, rtol=0, atol=1e-6)
    with pytest.raises(DiffloomError, match="guidance: 2 scales for 3 samples"):
        small_model.sample(label=[3, 4, 5], guidance=[1.0, 2.0], steps=1)


def test_further_conditions_are_followed_and_told(small_model: Pipeline) -> None:
    """v_u + 2·(v_c − v_u) + 0.5·(v_7 − v_u) − 0.3·(v_1 − v_u) (Liu et al. 2022, algorithm 1), in one call."""
    seen: list[list[int]] = []
    hook = small_model.backbone.register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[2].class_B.tolist())
    )
    also = [(0.5, {"label": 7}), (-0.3, {"label": [1, 2]})]
    try:
        out = small_model.sample(label=[3, 4], also=also, guidance=2.0, steps=1, sampler="ddim")
    finally:
        hook.remove()
    assert seen == [[3, 4, 10, 10, 7, 7, 1, 2]]
    assert out.recipe["also"] == [[0.5, {"label": [7, 7]}], [-0.3, {"label": [1, 2]}]]
    assert out.recipe_of(1)["also"] == [[0.5, {"label": [7]}], [-0.3, {"label": [2]}]]
    split = small_model.sample(label=[3, 4], also=also, guidance=2.0, steps=1, sampler="ddim", batch_size=1)
    torch.testing.assert_close(split.tensor, out.tensor, rtol=0, atol=1e-5)

    (step,) = small_model.stream(label=[3, 4], also=also, guidance=2.0, steps=1, sampler="ddim")
    x_t, t = step.x_t_BCHW, torch.full((2,), step.t)

    def v(label: list[int]) -> Tensor:
        return small_model.network(x_t, t, Condition(class_B=torch.tensor(label)))

    with torch.no_grad():
        c, u, seven, others = v([3, 4]), v([10, 10]), v([7, 7]), v([1, 2])
    guided = u + 2 * (c - u) + 0.5 * (seven - u) - 0.3 * (others - u)
    x0 = step.level.alpha * x_t - step.level.sigma * guided
    torch.testing.assert_close(step.x0_BCHW, x0.clamp(-1, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (
            {"also": [(0.5, {"label": 7})], "guidance": "apg"},
            "also: .* such as classifier_free, and diffloom/apg does not",
        ),
        ({"also": [(0.5, {"lable": 7})], "guidance": 2.0}, "lable: this model has no such condition"),
        (
            {"negative": {"label": 7}, "guidance": {"type": "perturbed_attention", "scale": 2.0}},
            "negative: diffloom/perturbed_attention leads away from other things than label; take a guidance",
        ),
    ],
)
def test_what_guidance_would_ignore_is_refused(
    small_model: Pipeline, asked: dict[str, object], problem: str
) -> None:
    with pytest.raises(DiffloomError, match=problem):
        small_model.sample(label=3, steps=1, **asked)  # type: ignore[arg-type]


def test_without_any_guidance_further_conditions_are_refused(configs: object) -> None:
    pipe = diffloom.build(f"{configs}/digits.yaml", ["sampling.guidance=null"])
    with pytest.raises(DiffloomError, match="and there is no guidance"):
        pipe.sample(label=3, also=[(0.5, {"label": 7})], steps=1)


def test_corrections_may_be_given_with_the_call(small_model: Pipeline) -> None:
    """In their order, after guidance and before clipping; the recipe tells them."""
    corrections = [
        {"type": "rescale", "space": "x0", "factor": 1.0},
        {"type": "dynamic_threshold", "percentile": 90.0},
    ]
    (mended,) = small_model.stream(label=3, steps=1, guidance=6.0, corrections=corrections, sampler="ddim")
    x_t, level = mended.x_t_BCHW, mended.level

    def x0(label: int) -> Tensor:
        v = small_model.network(x_t, torch.full((1,), mended.t), Condition(class_B=torch.tensor([label])))
        return level.alpha * x_t - level.sigma * v

    with torch.no_grad():
        plain, null = x0(3), x0(10)
    guided = null + 6 * (plain - null)
    rescaled = guided * plain.std() / guided.std()
    most = max(float(rescaled.abs().flatten().quantile(0.9)), 1.0)
    torch.testing.assert_close(mended.x0_BCHW, rescaled.clamp(-most, most) / most, rtol=1e-4, atol=1e-5)
    told = small_model.sample(label=3, steps=1, guidance=6.0, corrections=corrections).recipe["sampling"]
    assert [part["type"] for part in told["corrections"]] == [
        "diffloom/rescale",
        "diffloom/dynamic_threshold",
    ]

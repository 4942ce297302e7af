"""What a YAML file says of guidance, alone and combined. Oracles: the kit, and the parts drawn one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import diffloom
from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.errors import ConfigError, DiffloomError
from diffloom.process import Denoised, Level, Strength
from diffloom.testing import check_component
from diffloom_guidance import (
    APG,
    AdaptiveProjectedGuidance,
    AutoGuidance,
    CFGZeroGuidance,
    ClassifierFree,
    ClassifierFreeGuidance,
    Combined,
    CombinedGuidance,
    PerturbedAttentionGuidance,
)

FREE = {"type": "classifier_free", "scale": 3.0}
BLIND = {"type": "perturbed_attention", "scale": 2.0}
X_T = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "component",
    [
        ClassifierFreeGuidance,
        CFGZeroGuidance,
        AdaptiveProjectedGuidance,
        PerturbedAttentionGuidance,
        AutoGuidance,
        CombinedGuidance,
    ],
)
def test_it_obeys_the_laws_of_its_kind(component: type) -> None:
    assert check_component(component) == []


def x0_of(model: Pipeline, guidance: Any) -> torch.Tensor:
    """Unclipped, so that shifts can be added."""
    sampling = model.document.sampling.model_copy(update={"clip": None})
    document = model.document.model_copy(update={"sampling": sampling})
    free = Pipeline(document=document, module=model.module, process=model.process, registry=model.registry)
    return free.denoise(X_T, 600, label=[3, 4], guidance=guidance).x0_BCHW


def test_combined_shifts_add_up(small_model: Pipeline) -> None:
    """plain + (CFG − plain) + (PAG − plain), in either order."""
    plain, free, blind = (x0_of(small_model, guidance) for guidance in (1.0, FREE, BLIND))
    for parts in ([FREE, BLIND], [BLIND, FREE]):
        both = x0_of(small_model, {"type": "combined", "parts": parts})
        torch.testing.assert_close(both, free + blind - plain, rtol=0, atol=1e-4)


def test_combined_views_share_a_call(small_model: Pipeline) -> None:
    """Two that look at the null condition ask for it once."""
    seen: list[list[int]] = []
    hook = small_model.backbone.register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[2].class_B.tolist())
    )
    try:
        parts = [FREE, {"type": "apg", "scale": 2.0}, {"type": "cfg_zero", "scale": 2.0}]
        small_model.sample(label=[3, 7], steps=2, guidance={"type": "combined", "parts": parts})
    finally:
        hook.remove()
    assert seen == [[3, 7, 10, 10]] * 2


def test_combined_scales_are_for_each_sample_and_split(small_model: Pipeline) -> None:
    parts = [{**FREE, "scale": [1.0, 2.0, 5.0]}, {**BLIND, "scale": [3.0, 1.0, 2.0]}]
    guidance = {"type": "combined", "parts": parts}
    whole = small_model.sample(label=[3, 4, 5], steps=3, guidance=guidance)
    split = small_model.sample(label=[3, 4, 5], steps=3, guidance=guidance, batch_size=2)
    torch.testing.assert_close(split.tensor, whole.tensor, rtol=0, atol=1e-5)
    alone = whole.recipe_of(2)["sampling"]["guidance"]
    assert [part["scale"] for part in alone["parts"]] == [5.0, 2.0]
    again = small_model.sample(label=5, seed=[(0, 2)], steps=3, guidance=alone)
    torch.testing.assert_close(again.tensor, whole.tensor[2:], rtol=0, atol=1e-5)


def test_combined_is_what_its_parts_are() -> None:
    free, blind = ClassifierFreeGuidance(scale=3.0), PerturbedAttentionGuidance(scale=2.0)
    assert CombinedGuidance(parts=(free, blind)).compares
    assert CombinedGuidance(parts=(free, blind)).weighs
    assert not CombinedGuidance(parts=(blind,)).compares
    assert not CombinedGuidance(parts=(ClassifierFreeGuidance(), blind)).compares, (
        "a neutral part compares nothing"
    )
    assert CombinedGuidance(parts=(ClassifierFreeGuidance(), PerturbedAttentionGuidance())).neutral
    assert not CombinedGuidance(parts=(free, blind)).neutral
    with pytest.raises(ValidationError, match="parts are for 2 and 3 samples"):
        CombinedGuidance(
            parts=(
                ClassifierFreeGuidance(scale=(1.0, 2.0)),
                PerturbedAttentionGuidance(scale=(1.0, 2.0, 3.0)),
            )
        )


def test_a_number_cannot_be_the_scale_of_several(small_model: Pipeline, configs: object) -> None:
    pipe = diffloom.build(
        f"{configs}/digits.yaml",
        ["sampling.guidance={type: combined, parts: [classifier_free, perturbed_attention]}"],
        device="cpu",
    )
    with pytest.raises(DiffloomError, match=r"diffloom/combined has no scale of its own that 3\.0 could be"):
        pipe.sample(label=3, guidance=3.0)


@pytest.mark.parametrize(
    "guidance",
    [
        FREE,
        {**FREE, "interval": [0.5, 20.0], "profile": "linear"},
        {"type": "cfg_zero", "scale": 3.0},
        {"type": "apg", "scale": 3.0, "momentum": -0.5, "threshold": 4.0},
        BLIND,
    ],
    ids=lambda guidance: guidance["type"],
)
def test_batches_and_sizes_change_nothing(small_model: Pipeline, guidance: dict[str, Any]) -> None:
    """Also where guidance remembers: each batch is a walk of its own, and rows do not mix."""
    corrections = [{"type": "rescale", "space": "v"}, "dynamic_threshold"]
    whole, split = (
        small_model.sample(
            label=[3, 4, 5], steps=4, guidance=guidance, corrections=corrections, batch_size=size
        ).tensor
        for size in (None, 1)
    )
    torch.testing.assert_close(split, whole, rtol=0, atol=2e-5)


def test_guidance_holds_at_zero_terminal_snr(configs: object) -> None:
    """The first level has no signal: x₀ is guided there, and the picture is finite."""
    pipe = diffloom.build(
        f"{configs}/digits.yaml",
        [
            "schedule={type: zero_terminal_snr, schedule: linear}",
            "prediction=v",
            "sampling.sampler=ddim",
            "sampling.spacing=trailing",
            "backbone.channels=[8,16]",
            "backbone.blocks_per_level=1",
            "backbone.head_channels=8",
            "backbone.norm_groups=4",
        ],
        device="cpu",
    )
    with torch.no_grad():
        for parameter in pipe.module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    (first, *_) = pipe.levels(pipe.document.sampling)
    assert first.alpha == 0
    parts = [FREE, BLIND, {"type": "apg", "scale": 2.0}, {"type": "cfg_zero", "scale": 2.0}]
    out = pipe.sample(
        label=[3, 4],
        steps=3,
        guidance={"type": "combined", "parts": parts},
        corrections=[{"type": "rescale", "space": space} for space in ("x0", "epsilon", "v", "flow")],
    )
    assert bool(out.tensor.isfinite().all())


@pytest.mark.parametrize(
    ("guidance", "problem"),
    [
        ({"type": "cfg_zero", "zero_share": 1.5}, "zero_share"),
        ({"type": "apg", "momentum": 1.0}, "momentum"),
        ({"type": "perturbed_attention", "layers": []}, "layers"),
        ({"type": "classifier_free", "interval": [3.0, 1.0]}, "holds no σ"),
        ({"type": "classifier_free", "scale": []}, "scale"),
        ({"type": "combined", "parts": []}, "parts"),
        ({"type": "autoguidance"}, "weights"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    small_model: Pipeline, guidance: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        small_model.sample(label=3, guidance=guidance)


def test_the_condition_s_rows_are_not_mixed(steered: Callable[..., Any]) -> None:
    """Conditions of several guidances are stacked in one order, and split in the same."""

    def denoise(x: torch.Tensor, level: Level, condition: Condition) -> Denoised:
        assert condition.class_B is not None
        x0 = condition.class_B.to(x).view(-1, 1, 1, 1).expand_as(x)
        return Denoised(x0, x)

    guide = Combined(
        guides=[
            ClassifierFree(strength=Strength((2.0, 3.0))),
            APG(strength=Strength(1.0), eta=1.0, threshold=None, momentum=0.0),
        ]
    )
    asked, null = (Condition(class_B=torch.tensor(values)) for values in ([10, 20], [1, 2]))
    other = Condition(class_B=torch.tensor([100, 200]))
    found = steered(guide, denoise, asked, null, others=[(0.5, other)])(X_T.double(), Level(5.0, 0.6, 0.8))
    assert found.x0_BCHW.amax((1, 2, 3)).tolist() == [1 + 2 * 9 + 0.5 * 99, 2 + 3 * 18 + 0.5 * 198]

"""Autoguidance. Oracles: EDM2's formula on two models asked one by one; classifier-free guidance by two networks.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import diffloom
from diffloom import Pipeline
from diffloom.inference import Compute
from diffloom.inference import ready as ready_networks
from diffloom.process import Strength, denoiser
from diffloom.testing.guided_model import DOCUMENT, guided_model, save_guided_model
from diffloom_guidance import AutoGuidance, AutoGuide

X_T = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.fixture(scope="module")
def model() -> Pipeline:
    """The model that is guided."""
    return guided_model(seed=0)


@pytest.fixture(scope="module")
def built() -> Callable[..., Pipeline]:
    """A model like it, but for some keys of its configuration."""

    def build(seed: int = 1, **changes: Any) -> Pipeline:
        pipeline = diffloom.build({**DOCUMENT, **changes}, seed=seed, device="cpu")
        with torch.no_grad():
            for parameter in pipeline.module.parameters():
                parameter.add_(
                    0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
                )
        pipeline.module.double().eval()
        return pipeline

    return build


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.3])
@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_it_is_edm2_s_formula(
    model: Pipeline, built: Callable[..., Pipeline], prediction: str, scale: float
) -> None:
    """ref_D.lerp(D, guidance) of the denoised images, as its generate_images.py has it; the networks may predict
    different things.
    """
    weaker = built(prediction=prediction)
    guide = AutoGuide(weaker=weaker, strength=Strength(scale))
    for t in (20, 500, 980):
        found = model.denoise(X_T, t, label=[0, 1, 2], guidance=guide).x0_BCHW
        d, reference = (one.denoise(X_T, t, label=[0, 1, 2], guidance=1.0).x0_BCHW for one in (model, weaker))
        torch.testing.assert_close(found, reference.lerp(d, scale), rtol=1e-10, atol=1e-10)


def weak_unet(*, dtype: torch.dtype = torch.float32) -> Pipeline:
    """One of convolutions and attention, which have faster forms."""
    small = ["backbone.channels=[8,16]", "backbone.blocks_per_level=1", "backbone.head_channels=8"]
    pipe = diffloom.build("diffloom:digits", [*small, "backbone.norm_groups=4"], seed=1, device="cpu")
    with torch.no_grad():
        for weight in pipe.module.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    pipe.module.to(dtype).eval()
    return pipe


def unclipped(pipe: Pipeline) -> Pipeline:
    """So that a guided prediction tells what it is made of."""
    sampling = pipe.document.sampling.model_copy(update={"clip": None})
    return replace(pipe, document=pipe.document.model_copy(update={"sampling": sampling}))


def test_the_weaker_network_is_made_ready_too(small_model: Pipeline) -> None:
    """It draws by its faster forms, the same as by its plain ones: beside float64, with which each errs by rounding."""
    weaker, exact = weak_unet(), weak_unet(dtype=torch.float64)
    guide = AutoGuide(weaker=weaker, strength=Strength(2.0))
    x_BCHW = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    t, label = 500, [0, 1, 2]
    found, strong = (
        unclipped(small_model).denoise(x_BCHW, t, label=label, guidance=one).x0_BCHW for one in (guide, 1.0)
    )
    weak = 2 * strong - found
    (level, _) = weaker.schedule.levels([t])
    with torch.no_grad():
        wanted, plain = (
            denoiser(one.network, one.prediction)(
                x_BCHW.to(dtype), level, one.condition({"label": label})
            ).x0_BCHW
            for one, dtype in ((exact, torch.float64), (weaker, torch.float32))
        )
    errors = [float((came - wanted).abs().max()) for came in (weak, plain)]
    # The sum, of numbers up to some 10, rounds as well.
    assert errors[0] <= 2 * errors[1] + 5e-6


def test_it_is_made_ready_once_for_all_batches(
    small_model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the precision that is asked of the model."""
    weaker = weak_unet()
    networks, made = [small_model.backbone, weaker.backbone], list[tuple[int, torch.dtype]]()
    prepared = ready_networks.prepared

    def noted(network: nn.Module, compute: Compute) -> nn.Module:
        if network in networks:
            made.append((networks.index(network), compute.dtype))
        return prepared(network, compute)

    monkeypatch.setattr(ready_networks, "prepared", noted)
    asked: dict[str, Any] = {"label": [3, 4, 5], "steps": 2, "batch_size": 1}
    guide = AutoGuide(weaker=weaker, strength=Strength(2.0))
    small_model.forget_ready()
    half = small_model.sample(guidance=guide, precision="bf16", **asked)
    assert made == [(0, torch.bfloat16), (1, torch.bfloat16)]
    whole = small_model.sample(guidance=guide, precision="fp32", **asked)
    assert made[2:] == [(0, torch.float32), (1, torch.float32)]
    assert 0 < (half.tensor - whole.tensor).abs().mean() < 0.05


def test_an_unconditional_weaker_model_makes_it_classifier_free(
    model: Pipeline, built: Callable[..., Pipeline]
) -> None:
    """Two networks, as EDM2 does it: the weaker one is told nothing."""
    weaker = built(conditioners={})
    found = model.denoise(
        X_T, 400, label=[0, 1, 2], guidance=AutoGuide(weaker=weaker, strength=Strength(3.0))
    )
    c = model.denoise(X_T, 400, label=[0, 1, 2], guidance=1.0).x0_BCHW
    u = weaker.denoise(X_T, 400).x0_BCHW
    torch.testing.assert_close(found.x0_BCHW, u + 3 * (c - u), rtol=1e-10, atol=1e-10)


def test_from_a_file_s_words_and_in_batches(run_folder: Path) -> None:
    """`weights:` names a run; a split batch with a scale for each sample gives the same pictures."""
    strong = diffloom.load(run_folder, device="cpu")
    with torch.no_grad():
        for parameter in strong.module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    guidance = {"type": "autoguidance", "weights": str(run_folder), "scale": [1.0, 2.0, 4.0]}
    whole = strong.sample(label=[3, 4, 5], steps=2, guidance=guidance)
    parts = strong.sample(label=[3, 4, 5], steps=2, guidance=guidance, batch_size=2)
    torch.testing.assert_close(parts.tensor, whole.tensor, rtol=0, atol=1e-5)
    plain = strong.sample(label=[3, 4, 5], steps=2, guidance=1.0).tensor
    torch.testing.assert_close(whole.tensor[0], plain[0], rtol=0, atol=1e-5)
    assert not torch.equal(whole.tensor[1], plain[1])
    told = whole.recipe_of(1)["sampling"]["guidance"]
    assert (told["type"], told["weights"], told["scale"]) == ("diffloom/autoguidance", str(run_folder), 2.0)


def test_a_recipe_says_which_weights_the_weaker_model_had(run_folder: Path, tmp_path: Path) -> None:
    """The digest that the weaker model's own recipes give, and other weights have another."""
    strong = diffloom.load(run_folder, device="cpu")
    own = strong.sample(label=3, steps=1, guidance=1.0).recipe
    assert "other_weights" not in own
    for guidance in (
        {"type": "autoguidance", "weights": str(run_folder), "scale": 2.0},
        {"type": "combined", "parts": [{"type": "autoguidance", "weights": str(run_folder), "scale": 2.0}]},
    ):
        out = strong.sample(label=[3, 4], steps=1, guidance=guidance)
        assert out.recipe["other_weights"] == {str(run_folder): own["weights"]}
        assert out.recipe_of(1)["other_weights"] == out.recipe["other_weights"]

    assert strong.weights_digest is not None
    told = set()
    for seed in (0, 1):
        weaker = save_guided_model(tmp_path / f"{seed}.safetensors", seed=seed)
        told |= set(AutoGuidance(weights=weaker).digests().values())
    assert len(told) == 2
    assert all(digest and len(digest) == 64 for digest in told)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image": {"size": 4, "channels": 1}}, "diffuses in another space"),
        ({"schedule": "scaled_linear"}, "has another noise schedule"),
        ({"schedule": {"type": "linear", "steps": 500}}, "has another noise schedule"),
        (
            {"conditioners": {"label": {"type": "class_label", "classes": ["b", "a", "c"], "dropout": 0.1}}},
            "is told 'label' by a conditioner that the model does not have",
        ),
        (
            {"conditioners": {"kind": {"type": "class_label", "classes": 3, "dropout": 0.1}}},
            "is told 'kind' by a conditioner that the model does not have",
        ),
    ],
)
def test_a_model_of_other_things_is_refused(
    model: Pipeline, built: Callable[..., Pipeline], changes: dict[str, Any], problem: str
) -> None:
    guide = AutoGuide(weaker=built(**changes), strength=Strength(2.0))
    with pytest.raises(ValueError, match=problem):
        model.denoise(X_T, 400, label=[0, 1, 2], guidance=guide)


def test_another_autoencoder_s_latents_are_refused(model: Pipeline, built: Callable[..., Pipeline]) -> None:
    """Of the same shape, but other weights: what x₀ means differs."""

    def with_space(pipeline: Pipeline, space: nn.Module) -> Pipeline:
        return replace(pipeline, module=nn.ModuleDict({**dict(pipeline.module.items()), "space": space}))

    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    guide = AutoGuide(weaker=with_space(built(), one), strength=Strength(2.0))
    with_space(model, one).denoise(X_T, 400, label=[0, 1, 2], guidance=guide)
    with pytest.raises(ValueError, match="diffuses in another space"):
        with_space(model, other).denoise(X_T, 400, label=[0, 1, 2], guidance=guide)


def test_dropout_in_training_does_not_matter(model: Pipeline, built: Callable[..., Pipeline]) -> None:
    """Nor does a null condition: a weaker model that was never shown it can guide."""
    weaker = built(conditioners={"label": {"type": "class_label", "classes": 3, "dropout": 0.0}})
    found = model.denoise(
        X_T, 400, label=[0, 1, 2], guidance=AutoGuide(weaker=weaker, strength=Strength(2.0))
    )
    assert bool(found.x0_BCHW.isfinite().all())
    assert not AutoGuidance(weights="anywhere").compares

"""What a YAML file says of classifier guidance, drawn end to end on the exact denoiser.

Oracles: autograd through guided-diffusion's network written out in this folder, from the file that the YAML names;
and the oracle backbone's prediction without guidance. Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import diffloom
from diffloom import Pipeline, config
from diffloom.errors import ConfigError
from diffloom.plugins import load_registry
from diffloom.process import CLEAN, Posterior
from diffloom.testing import check_component
from diffloom_classifier import ClassifierGuidance

MODEL: dict[str, Any] = {
    "image": {"size": 8, "channels": 1},
    "conditioners": {"label": {"type": "class_label", "classes": 3, "dropout": 0.1}},
    "backbone": {"type": "oracle", "std": 0.3},
    "schedule": "linear",
    "prediction": "epsilon",
    "variance": "fixed_large",
    "sampling": {"sampler": "ddim", "steps": 4, "clip": None},
}
LEVELS = (250.0, 700.0)
X_T = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
Gradient = Callable[[Tensor, float, list[int]], Tensor]


@pytest.fixture
def yaml(original: Callable[..., Any], tmp_path: Path) -> dict[str, Any]:
    """The guidance's section: a tiny network, its random weights in a file of the original's names."""
    theirs = small(original)
    save_file(theirs.state(dtype=torch.float32), tmp_path / "classifier.safetensors")
    return {
        "type": "classifier",
        "weights": str(tmp_path / "classifier.safetensors"),
        "scale": 3.0,
        "classes": 3,
        "channels": [32, 64],
        "blocks_per_level": 1,
        "attention_resolutions": [4],
        "head_channels": 16,
    }


@pytest.fixture
def gradient(original: Callable[..., Any]) -> Gradient:
    """∇ log p(label | x) at (x, t, labels), by hand from the same weights."""
    theirs = small(original)
    state = theirs.state(dtype=torch.float32)

    def at(x_BCHW: Tensor, t: float, labels: list[int]) -> Tensor:
        x_BCHW = x_BCHW.detach().clone().requires_grad_()
        logits = theirs.logits(state, x_BCHW, torch.full((len(x_BCHW),), t))
        picked = torch.stack(
            [row[label] - row.logsumexp(0) for row, label in zip(logits, labels, strict=True)]
        )
        picked.sum().backward()
        assert x_BCHW.grad is not None
        return x_BCHW.grad

    return at


def small(original: Callable[..., Any]) -> Any:
    return original(
        image_size=8,
        in_channels=1,
        out_channels=3,
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_ds=(2,),
        num_head_channels=16,
    )


def build(guidance: dict[str, Any] | None = None, **changes: Any) -> Pipeline:
    document = {**MODEL, **changes}
    if guidance is not None:
        document["sampling"] = {**document["sampling"], "guidance": guidance}
    return diffloom.build(document, device="cpu")


def test_it_obeys_the_laws_of_its_kind() -> None:
    assert check_component(ClassifierGuidance) == []


@pytest.mark.parametrize("t", LEVELS)
def test_every_sampler_s_shift_is_the_gradient_at_x_t(
    t: float, yaml: dict[str, Any], gradient: Gradient
) -> None:
    """ε − sigma·(scale − 1)·∇ log p(label | x_t) (algorithm 2), with a profile that is not 1 here."""
    pipe = build({**yaml, "profile": "linear"})
    (level, _) = pipe.schedule.levels([t])
    plain = pipe.denoise(X_T, t, label=[0, 1, 2], guidance=1.0)
    found = pipe.denoise(X_T, t, label=[0, 1, 2])
    share = t / 999
    shift = level.sigma * 2.0 * 2 * (1 - share) * gradient(X_T, t, [0, 1, 2])
    assert float(shift.abs().max()) > 0.01
    torch.testing.assert_close(found.eps_BCHW, plain.eps_BCHW - shift, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        level.alpha * found.x0_BCHW + level.sigma * found.eps_BCHW, X_T, rtol=0, atol=1e-5
    )


def test_an_ancestral_step_takes_the_gradient_at_its_mean(yaml: dict[str, Any], gradient: Gradient) -> None:
    """μ + β·(scale − 1)·∇ log p(label | x_s) at x_s = μ (algorithm 1), s the time that is stepped to; the walk without
    guidance has the same noise, so their difference is the term itself.
    """
    pipe = build(yaml, sampling={"sampler": "ddpm", "steps": 4, "clip": None})
    first, plain = (
        next(iter(pipe.stream(label=[0, 1, 2], start=X_T, guidance=guidance))) for guidance in (None, 1.0)
    )
    assert first.next_level != CLEAN
    mean = Posterior.between(first.level, first.next_level).mean(X_T, plain.x0_BCHW)
    beta = 1 - (first.level.alpha / first.next_level.alpha) ** 2
    wanted = beta * 2.0 * gradient(mean, first.next_level.t, [0, 1, 2])
    assert float(wanted.abs().max()) > 0.01
    torch.testing.assert_close(first.following_BCHW - plain.following_BCHW, wanted, rtol=0, atol=1e-5)


def test_each_sample_has_its_scale_and_a_null_label_has_no_gradient(
    yaml: dict[str, Any], gradient: Gradient
) -> None:
    t = 250.0
    pipe = build(yaml)
    (level, _) = pipe.schedule.levels([t])
    labels: list[int | None] = [2, None, 1]
    plain = pipe.denoise(X_T, t, label=labels, guidance=1.0)
    found = pipe.denoise(X_T, t, label=labels, guidance={**yaml, "scale": [1.0, 5.0, 0.0]})
    assert torch.equal(found.eps_BCHW[:2], plain.eps_BCHW[:2]), "scale 1, and no label"
    shift = level.sigma * -1.0 * gradient(X_T[2:], t, [1])
    torch.testing.assert_close(found.eps_BCHW[2:], plain.eps_BCHW[2:] - shift, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_pictures_are_drawn_towards_their_labels(sampler: str, yaml: dict[str, Any]) -> None:
    """With a batch for two samples and one for the third: each sample its own scale, and all the same as together.
    Each recipe draws its sample again, and a number sets the scale.
    """
    pipe = build({**yaml, "scale": [4.0, 1.0, 2.0]})
    whole = pipe.sample(label=[0, 1, 2], sampler=sampler)
    split = pipe.sample(label=[0, 1, 2], sampler=sampler, batch_size=2)
    torch.testing.assert_close(split.tensor, whole.tensor, rtol=0, atol=1e-4)
    plain = pipe.sample(label=[0, 1, 2], sampler=sampler, guidance=1.0).tensor
    torch.testing.assert_close(whole.tensor[1], plain[1], rtol=0, atol=1e-4)
    assert min(float((whole.tensor[row] - plain[row]).abs().max()) for row in (0, 2)) > 1e-2
    told = whole.recipe_of(0)["sampling"]["guidance"]
    assert (told["type"], told["scale"], told["weights"]) == ("diffloom/classifier", 4.0, yaml["weights"])
    again = pipe.sample(label=0, seed=[(0, 0)], sampler=sampler, guidance=told)
    torch.testing.assert_close(again.tensor, whole.tensor[:1], rtol=0, atol=1e-4)
    four = pipe.sample(label=0, seed=[(0, 0)], sampler=sampler, guidance=4.0)
    assert torch.equal(four.tensor, again.tensor)


def test_outside_the_interval_it_is_not_asked(yaml: dict[str, Any]) -> None:
    pipe = build({**yaml, "interval": [0.0, 1.0]})
    noisy, clean, _ = pipe.schedule.levels([700.0, 250.0])
    assert clean.ratio < 1.0 < noisy.ratio
    for t, changes in ((700.0, False), (250.0, True)):
        plain = pipe.denoise(X_T, t, label=[0, 1, 2], guidance=1.0)
        found = pipe.denoise(X_T, t, label=[0, 1, 2])
        assert torch.equal(found.x0_BCHW, plain.x0_BCHW) != changes


def test_no_null_condition_is_needed(yaml: dict[str, Any]) -> None:
    """A model that was never shown it can be guided, alone and among others."""
    conditioners = {"label": {"type": "class_label", "classes": 3, "dropout": 0.0}}
    blind = {"type": "combined", "parts": [yaml]}
    pictures = [
        build(guidance, conditioners=conditioners).sample(label=1).tensor for guidance in (yaml, blind)
    ]
    assert torch.equal(*pictures)


@pytest.mark.parametrize(
    ("changes", "fields", "problem"),
    [
        (
            {},
            {"classes": 1000},
            "sampling.guidance: the classifier tells 1000 classes apart, and the model has 3; set "
            "sampling.guidance.classes and take such a classifier",
        ),
        (
            {"conditioners": {}},
            {},
            "sampling.guidance: a classifier guides by class ids, and the model's conditions have none; add a "
            "conditioner class_label, or take another guidance",
        ),
        (
            {"image": {"size": 7, "channels": 1}},
            {},
            "sampling.guidance: the classifier's 2 levels need a height and width divisible by 2, and the space is "
            "7×7; give the channels of a classifier of that size",
        ),
        (
            {},
            {"attention_resolutions": [2]},
            "sampling.guidance: attention_resolutions: no level of the classifier has 2 pixels; they have 8, 4",
        ),
    ],
)
@pytest.mark.parametrize("is_combined", [False, True])
def test_a_model_that_it_does_not_fit_is_refused_before_anything_is_built(
    changes: dict[str, Any], fields: dict[str, Any], problem: str, is_combined: bool, yaml: dict[str, Any]
) -> None:
    guidance = {**yaml, **fields}
    if is_combined:
        guidance = {"type": "combined", "parts": [guidance]}
    document = {**MODEL, **changes, "sampling": {**MODEL["sampling"], "guidance": guidance}}
    with pytest.raises(ConfigError) as caught:
        config.load(document, registry=load_registry())
    assert [str(found) for found in caught.value.problems] == [problem]


def test_from_python_too_it_refuses_other_conditions(yaml: dict[str, Any]) -> None:
    """Where no configuration is checked."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in yaml.items()}
    del fields["type"]
    guide = ClassifierGuidance(**fields).build()
    with pytest.raises(
        ValueError, match="classifier: guides by class ids, and the model's conditions have none"
    ):
        build(conditioners={}).denoise(X_T, 250, guidance=guide)
    five = {"label": {"type": "class_label", "classes": 5, "dropout": 0.1}}
    with pytest.raises(ValueError, match="classifier: tells 3 classes apart, and the model has more"):
        build(conditioners=five).denoise(X_T, 250, label=[0, 1, 4], guidance=guide)

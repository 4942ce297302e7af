"""The oracle in a YAML file. Oracles: the conformance kit, the fields as they were given, and messages."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import diffloom
from diffloom import config
from diffloom.errors import ConfigError
from diffloom.kinds import ConditionInfo, SpaceInfo
from diffloom.plugins import load_plugins
from diffloom.registry import Registry
from diffloom.testing import check_component
from diffloom.testing.closed_forms import normal
from diffloom.testing.oracle import Oracle, OracleNetwork
from diffloom.training import train

SPACE = SpaceInfo(channels=3, height=5, width=4)
FILE = """
image: {size: 2, channels: 1}
conditioners: {label: {type: class_label, classes: 2, dropout: 0.1}}
backbone: {type: oracle, std: 0.2, means: [[-0.5, 0.0], [0.5]], shares: [[1, 1], [2]]}
schedule: cosine
prediction: v
sampling: {sampler: ddim, steps: 40, spacing: trailing}
"""


def test_conformance() -> None:
    assert check_component(Oracle) == []


def test_a_file_runs_without_training(tmp_path: Path) -> None:
    """Class 1 is one Gaussian about 0.5, and class 0 two; 200 pictures of 4 pixels each, 5 standard errors.

    The means of 200 pictures; 40 steps are right to 0.01. One false alarm in 10⁶.
    """
    (tmp_path / "oracle.yaml").write_text(FILE)
    pipe = diffloom.build(tmp_path / "oracle.yaml", device="cpu")
    for label, mean, std in ((1, 0.5, 0.1), (0, -0.25, 0.27), (None, 0.125, 0.42)):
        # the mean of four pixels has the standard deviation of the mean pictures and half that of a pixel
        found = pipe.sample(n=200, seed=1, label=label).tensor.mean().item()
        assert abs(found - mean) < 5 * std / 200**0.5 + 0.01


def test_latents_are_pictures_too(configs: Path) -> None:
    """In an autoencoder's space of 4×4 latents every step predicts what the mixture does, to float32's 1e-5."""
    overrides = [
        "backbone={type: oracle, modes: 1, std: 0.5}",
        "space.weights=null",
        "sampling.guidance=null",
    ]
    pipe = diffloom.build(configs / "digits_latent.yaml", overrides, device="cpu")
    assert isinstance(pipe.backbone, OracleNetwork)
    mixture = pipe.backbone.mixture
    assert mixture.shape == (4, 4, 4)
    for step in pipe.stream(label=[3, None], steps=5):
        wanted = mixture.denoise(step.x_t_BCHW, step.level, torch.tensor([3, 10])).x0_BCHW
        torch.testing.assert_close(step.x0_BCHW, wanted, rtol=0, atol=1e-5)
    assert pipe.sample(label=[3, None], steps=5).tensor.shape == (2, 1, 8, 8)


def test_its_learned_variance_makes_ancestral_steps_exact(tmp_path: Path) -> None:
    """Of one Gaussian every reverse step is normal, with the variance that it says: few long steps lose no spread.

    300 pictures of 4 pixels from x_T's own distribution: the spread's standard error is 2 %. The step into the clean
    level adds none and loses 0.3 %. fixed_small is right for a single picture and draws too little.
    """
    spreads = {}
    for variance, learned in (("learned_range", True), ("fixed_small", False)):
        document = {
            "image": {"size": 2, "channels": 1},
            "backbone": {"type": "oracle", "modes": 1, "std": 0.5, "learn_variance": learned},
            "schedule": {"type": "cosine", "steps": 12},
            "prediction": "v",
            "variance": variance,
            "sampling": {"sampler": "ddpm", "steps": 12},
        }
        (tmp_path / "learned.yaml").write_text(json.dumps(document))
        pipe = diffloom.build(tmp_path / "learned.yaml", device="cpu")
        assert isinstance(pipe.backbone, OracleNetwork)
        (first, *_) = pipe.levels(pipe.document.sampling)
        mean = pipe.backbone.mixture.means_JCHW.detach()
        deviation = math.hypot(first.alpha * 0.5, first.sigma)
        start = (first.alpha * mean + deviation * normal((300, 1, 2, 2))).float()
        *_, last = pipe.stream(n=300, seed=1, start=start)
        spreads[variance] = (last.following_BCHW - mean).square().mean().sqrt().item()
    chance = 5 * 0.5 / math.sqrt(2 * 1200)
    assert abs(spreads["learned_range"] - 0.5) < chance + 0.0015
    assert spreads["fixed_small"] < 0.5 - chance - 0.0015


def test_it_takes_an_estimate_of_x0_that_changes_nothing(tmp_path: Path) -> None:
    text = {
        "image": {"size": 2, "channels": 1},
        "schedule": "cosine",
        "prediction": "v",
        "sampling": {"sampler": "ddim", "steps": 4, "spacing": "trailing"},
    }
    drawn = []
    for shown in (False, True):
        path = tmp_path / f"{shown}.yaml"
        backbone = {"type": "oracle", "self_conditioning": shown}
        objective = {"type": "simple", "self_conditioning": shown}
        path.write_text(json.dumps({**text, "backbone": backbone, "objective": objective}))
        drawn.append(diffloom.build(path, device="cpu").sample(n=3).tensor)
    assert torch.equal(*drawn)


def test_a_run_trains_its_means_and_keeps_them(tmp_path: Path, configs: Path, registry: Registry) -> None:
    """Four steps on digits with ten classes: the means move, are saved, and are loaded again."""
    overrides = ["backbone={type: oracle, std: 0.5}", "train.steps=4", "train.lr_schedule.warmup_steps=0"]
    overrides += ["train.batch_size=16", "train.sample_every=null", "train.ema.decay=0.0"]
    resolved = config.load(configs / "digits.yaml", overrides, registry=registry)
    train(resolved, tmp_path / "run", plugins=load_plugins(), device="cpu")
    trained = diffloom.load(tmp_path / "run", device="cpu")
    fresh = diffloom.build(configs / "digits.yaml", overrides, device="cpu")
    assert isinstance(trained.backbone, OracleNetwork)
    assert isinstance(fresh.backbone, OracleNetwork)
    moved = (trained.backbone.means_JCHW - fresh.backbone.means_JCHW).abs().amax((1, 2, 3))
    assert moved.shape == (20,)
    assert bool((moved > 1e-4).any())
    assert trained.sample(label=3, steps=2).tensor.shape == (1, 1, 8, 8)


def test_means_and_shares_are_as_given() -> None:
    oracle = Oracle(means=((-0.5, 0.0), (0.5,)), shares=((1.0, 1.0), (2.0,)), std=0.2)
    mixture = oracle.mixture(space=SPACE, condition=ConditionInfo(classes=3))
    assert mixture.shape == SPACE.shape
    assert mixture.means_JCHW.amin((1, 2, 3)).tolist() == mixture.means_JCHW.amax((1, 2, 3)).tolist()
    assert mixture.means_JCHW[:, 0, 0, 0].tolist() == [-0.5, 0.0, 0.5]
    assert mixture.weights_J.tolist() == [0.25, 0.25, 0.5]
    assert mixture.stds_J.tolist() == [0.2] * 3
    assert mixture.classes_J.tolist() == [0, 0, 1]
    assert mixture.classes == 2


def test_drawn_means_are_smooth_keyed_and_as_wide_as_said() -> None:
    """Of 400 pictures the mean square is spread², within 5 standard errors: few waves make few degrees of freedom.

    27 amplitudes of a picture, most of them small: its mean square has at most √2 times spread² as deviation.
    """
    space = SpaceInfo(channels=3, height=16, width=16)
    means = Oracle(modes=400, spread=0.3).mixture(space=space, condition=ConditionInfo()).means_JCHW
    assert abs(means.square().mean().item() / 0.09 - 1) < 5 * 2**0.5 / 400**0.5
    assert means.diff(dim=3).square().mean() < 0.1 * means.square().mean()
    fewer = Oracle(modes=3, spread=0.3).mixture(space=space, condition=ConditionInfo()).means_JCHW
    assert torch.equal(fewer, means[:3])
    other = Oracle(modes=3, spread=0.3, seed=1).mixture(space=space, condition=ConditionInfo()).means_JCHW
    assert not torch.equal(fewer, other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"means": ((0.0,),), "modes": 2}, "means says how many modes there are; leave modes out"),
        ({"means": ((0.0,),), "shares": ((1.0, 2.0),)}, "give one share for each mean"),
        ({"means": ()}, "at least 1 item"),
        ({"std": 0.0}, "greater than 0"),
        ({"shares": ((0.0,),)}, "greater than 0"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Oracle(**fields)


@pytest.mark.parametrize(
    ("fields", "condition", "message"),
    [
        (
            {},
            ConditionInfo(tokens=8),
            "knows classes and no other condition; take the conditioner class_label",
        ),
        ({}, ConditionInfo(vector=2), "knows classes and no other condition"),
        ({}, ConditionInfo(concat=1), "knows classes and no other condition"),
        ({"means": ((0.0,),)}, ConditionInfo(classes=3), "means describes 1 classes, and the model has 2"),
        (
            {"shares": ((1.0, 1.0),)},
            ConditionInfo(classes=3),
            "shares describes 1 classes, and the model has 2",
        ),
        ({"shares": ((1.0,),)}, ConditionInfo(), "shares for 1 modes do not fit classes of 2 modes"),
    ],
)
def test_conditions_it_does_not_know_are_refused(
    fields: dict[str, Any], condition: ConditionInfo, message: str
) -> None:
    for ask in (Oracle(**fields).check, Oracle(**fields).build):
        with pytest.raises(ValueError, match=message):
            ask(space=SPACE, condition=condition)


def test_what_is_refused_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "oracle.yaml").write_text(FILE.replace("classes: 2", "classes: 4"))
    with pytest.raises(ConfigError, match=r"4:11: backbone: means describes 2 classes, and the model has 4"):
        diffloom.build(tmp_path / "oracle.yaml", device="cpu")

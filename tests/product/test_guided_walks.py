"""Classifier-free guidance through the whole pipeline. Oracle: the tilted mixture's closed form, at every step.

The tilted density p(x_t | class)^scale · p(x_t)^(1 − scale) is differentiated in tests/testing/oracle/test_tilted.py.
"""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.testing.closed_forms import normal
from diffloom.testing.oracle import OracleNetwork, Tilted

LABELS = [0, 1, 2, 0]


@pytest.fixture(scope="module", params=["epsilon", "v", "x0"])
def pipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Three classes of two Gaussians in four pixels, computed in float64."""
    document = {
        "image": {"size": 2, "channels": 1},
        "conditioners": {"label": {"type": "class_label", "classes": 3, "dropout": 0.1}},
        "backbone": {"type": "oracle", "std": 0.3, "spread": 0.6},
        "schedule": "linear",
        "prediction": request.param,
        "sampling": {"sampler": "ddim", "steps": 12, "spacing": "trailing"},
    }
    path = tmp_path_factory.mktemp("guided") / "oracle.yaml"
    path.write_text(json.dumps(document))
    pipe = diffloom.build(path, device="cpu")
    pipe.module.double()
    return pipe


def start() -> Tensor:
    return normal((len(LABELS), 1, 2, 2), seed=3)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_scale_one_is_the_conditional_model_exactly(pipe: Pipeline, sampler: str) -> None:
    plain = list(pipe.stream(label=LABELS, start=start(), sampler=sampler))
    guided = list(pipe.stream(label=LABELS, start=start(), sampler=sampler, guidance=1.0))
    assert len(plain) == len(guided) == 12
    for one, other in zip(plain, guided, strict=True):
        assert torch.equal(one.following_BCHW, other.following_BCHW)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "heun"])
@pytest.mark.parametrize("scale", [-0.5, 0.0, 2.0, 7.5])
def test_every_step_predicts_what_the_tilted_density_says(pipe: Pipeline, sampler: str, scale: float) -> None:
    """x₀ to 1e-9: Tweedie's formula and the prediction ε divide 1e-15 by alpha, which is 0.006 at the first step."""
    network = pipe.backbone
    assert isinstance(network, OracleNetwork)
    tilted = Tilted(network.mixture, scale, torch.tensor(LABELS))
    steps = list(pipe.stream(label=LABELS, start=start(), sampler=sampler, guidance=scale))
    assert len(steps) == 12
    for step in steps:
        wanted = tilted.denoise(step.x_t_BCHW, step.level).x0_BCHW.detach()
        torch.testing.assert_close(step.x0_BCHW, wanted, rtol=1e-9, atol=1e-9)


def test_every_sample_has_its_own_scale(pipe: Pipeline) -> None:
    scales = [0.0, 1.0, 2.0, 5.0]
    together = list(pipe.stream(label=LABELS, start=start(), guidance=scales))[-1].following_BCHW
    for row, (label, scale) in enumerate(zip(LABELS, scales, strict=True)):
        alone = list(pipe.stream(label=[label], start=start()[row : row + 1], guidance=scale))[-1]
        torch.testing.assert_close(together[row : row + 1], alone.following_BCHW, rtol=0, atol=1e-12)


def test_scale_one_draws_the_class(pipe: Pipeline) -> None:
    """200 samples of class 1: the mean of each pixel and the weights of its two Gaussians, within 5 standard errors.

    ddpm with 50 steps is right to 0.03. One false alarm in 3·10⁵.
    """
    network, count = pipe.backbone, 200
    assert isinstance(network, OracleNetwork)
    mixture = network.mixture
    mean, covariance_PP = mixture.moments(1)
    [*_, last] = pipe.stream(n=count, seed=2, label=1, sampler="ddpm", steps=50, guidance=1.0)
    x0 = last.following_BCHW.double()
    chance = (covariance_PP.diagonal() / count).sqrt()
    assert bool(((x0.mean(0) - mean).flatten().abs() < 5 * chance + 0.03).all())
    weights_J = mixture.belief(x0, 1.0, 0.0, torch.ones(count, dtype=torch.int64)).shares_BJ.mean(0)
    known_J = (mixture.classes_J == 1) * mixture.weights_J
    error_J = weights_J - known_J / known_J.sum()
    assert bool((error_J.abs() < 5 * 0.5 / count**0.5 + 0.03).all())

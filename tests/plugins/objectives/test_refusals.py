"""What an objective cannot train is refused before the run, with the reason and a remedy; and nothing else is."""

from __future__ import annotations

import pytest

from diffloom import config
from diffloom.errors import ConfigError
from diffloom.plugins import load_registry

FILE = """\
image: {{size: 8, channels: 1}}
space: {space}
backbone: {{type: unet, channels: [8, 16], norm_groups: 4, attention_resolutions: [], learn_variance: {doubled}}}
schedule: {schedule}
prediction: epsilon
variance: {variance}
objective: {objective}
sampling: {{sampler: ddim, steps: 4, spacing: linspace}}
{train}
"""
TRAIN = "train: {steps: 10, batch_size: 2, lr: 1e-3}"
LATENT = "{type: autoencoder_kl, channels: [8, 8], norm_groups: 4, blocks_per_level: 1}"


def problems(
    objective: str,
    variance: str = "fixed_small",
    *,
    schedule: str = "cosine",
    space: str = "pixel",
    train: str = TRAIN,
) -> str:
    """What the configuration's reader has to say; nothing where it is sound."""
    text = FILE.format(
        objective=objective,
        variance=variance,
        schedule=schedule,
        space=space,
        train=train,
        doubled="true" if variance.startswith("learned") else "false",
    )
    try:
        config.parse(text, name="file.yaml", registry=load_registry())
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("objective", ["simple", "lp", "huber"])
@pytest.mark.parametrize("variance", ["learned", "learned_range"])
def test_a_loss_of_the_prediction_does_not_train_a_variance(objective: str, variance: str) -> None:
    told = problems(objective, variance)
    assert (
        f"objective: diffloom/{objective} does not train the variance, and diffloom/{variance} is learned"
        in told
    )
    assert "take objective: hybrid or variational_bound, or a fixed variance" in told
    assert problems(objective, variance, train="") == ""  # samples need no objective


@pytest.mark.parametrize(
    ("objective", "variance"),
    [
        ("simple", "fixed_large"),
        ("hybrid", "learned"),
        ("hybrid", "learned_range"),
        ("variational_bound", "learned_range"),
        ("variational_bound", "fixed_small"),
        ("{type: simple, weighting: bound}", "fixed_small"),
    ],
)
def test_these_train(objective: str, variance: str) -> None:
    assert problems(objective, variance) == ""


def test_a_hybrid_without_a_learned_variance_adds_nothing() -> None:
    assert "diffloom/fixed_small is fixed: it would add nothing; take objective: simple" in problems("hybrid")


def test_the_bound_s_own_weights_need_a_fixed_variance() -> None:
    told = problems("{type: hybrid, weighting: bound}", "learned_range")
    assert (
        "divides by a variance that is fixed, and diffloom/learned_range is learned; take weighting: uniform"
        in told
    )


@pytest.mark.parametrize("objective", ["hybrid", "variational_bound"])
def test_a_variance_is_learned_for_steps_that_are_counted(objective: str) -> None:
    told = problems(objective, "learned_range", schedule="vp")
    assert (
        "diffloom/vp has times without number; take a fixed variance, or a schedule that counts its times"
        in told
    )
    assert problems("variational_bound", schedule="vp") == ""


@pytest.mark.parametrize(
    ("objective", "variance"), [("hybrid", "learned_range"), ("variational_bound", "fixed_small")]
)
def test_latents_are_no_pixels(objective: str, variance: str) -> None:
    told = problems(objective, variance, space=LATENT)
    assert "takes x₀ for pixels of 256 values, and diffloom/autoencoder_kl makes latents" in told
    assert "set bins: null" in told
    assert problems(f"{{type: {objective}, bins: null}}", variance, space=LATENT) == ""


def test_uneven_times_make_no_bound() -> None:
    told = problems("{type: variational_bound, timing: logit_normal}")
    assert "logit_normal draws some times more often than others on purpose" in told
    assert "take timing: uniform, stratified or second_moment" in told

"""What each shipped configuration draws with, and what would take fewer calls, on a network that errs nowhere.

Files whose model nobody here has trained take their sampler from this and from their nearest trained relative
(docs/samplers.md): the file's own schedule, prediction, guidance and clipping around the exact denoiser of a Gaussian
mixture. Oracle: a walk of 250 steps of the same model, and diffusers' default of 50 steps of DDIM. An error is the
median over samples of the relative root mean square.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from diffloom import Pipeline, config
from diffloom.assembly import assemble
from diffloom.config.plain import plain
from diffloom.plugins import load_registry

CONFIGS = Path(__file__).parents[2] / "configs"
COUNT = 12
PUBLISHED = ["sd15", "sd21_v", "sdxl", "ldm_text_to_image", "ldm4_celebahq"]
"""Files that keep what their authors publish."""
FEWER = ("unipc", "log_snr_uniform", 16)
"""What docs/samplers.md tells beside it."""


@cache
def exact(name: str, seed: int) -> tuple[Pipeline, dict[str, Any]]:
    """A file's process around the exact denoiser, and its `sampling`."""
    registry = load_registry()
    shipped = config.require_diffusion(
        config.load(CONFIGS / f"{name}.yaml", registry=registry).document, place=""
    )
    whole = plain(shipped)
    sampling = whole["sampling"]
    document: dict[str, Any] = {
        "image": {"size": 8, "channels": 3},
        "backbone": {"type": "oracle", "modes": 2, "std": 0.3, "spread": 0.5, "seed": seed},
        "schedule": whole["schedule"],
        "prediction": whole["prediction"],
        "sampling": {key: sampling[key] for key in ("sampler", "steps", "spacing", "clip", "end")},
    }
    if sampling["guidance"] is not None:
        document["conditioners"] = {"label": {"type": "class_label", "classes": 8, "dropout": 0.1}}
        document["sampling"]["guidance"] = sampling["guidance"]
    made = config.require_diffusion(config.load(document, registry=registry).document, place="")
    return assemble(made, seed=0, registry=registry), sampling


def error(name: str, sampler: Any, spacing: Any, steps: int, *, seed: int = 0) -> float:
    exact_BCHW = _reference(name, seed)
    off_BCHW = _drawn(name, seed, sampler, spacing, steps) - exact_BCHW
    squares_B, wholes_B = (x_BCHW.square().mean((1, 2, 3)) for x_BCHW in (off_BCHW, exact_BCHW))
    return (squares_B / wholes_B).sqrt().median().item()


@cache
def _reference(name: str, seed: int) -> Tensor:
    return _drawn(name, seed, "unipc", "log_snr_uniform", 250)


def _drawn(name: str, seed: int, sampler: Any, spacing: Any, steps: int) -> Tensor:
    pipe, _ = exact(name, seed)
    labels = {"label": [index % 8 for index in range(COUNT)]} if pipe.document.conditioners else {}
    return pipe.sample(n=COUNT, sampler=sampler, spacing=spacing, steps=steps, **labels).tensor


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["image_folder", "emoji_text", "emoji_latent"])
def test_what_the_file_says_errs_less_with_fewer_calls_than_fifty_of_ddim(name: str, seed: int) -> None:
    _, sampling = exact(name, seed)
    assert sampling["steps"] <= 20
    own = error(name, sampling["sampler"], sampling["spacing"], sampling["steps"], seed=seed)
    assert own < error(name, "ddim", "trailing", 50, seed=seed)


@pytest.mark.parametrize("name", PUBLISHED)
def test_fewer_calls_err_less_than_what_the_authors_publish(name: str) -> None:
    _, sampling = exact(name, 0)
    published = error(name, sampling["sampler"], sampling["spacing"], sampling["steps"])
    assert error(name, *FEWER) < published / 3
    assert 3 * FEWER[2] < sampling["steps"]


@pytest.mark.parametrize("name", ["digits", "digits_latent"])
def test_it_finds_the_order_that_trained_models_have(name: str) -> None:
    """As docs/samplers.md measured it on them: what the file says is better than 25 of DDIM."""
    _, sampling = exact(name, 0)
    own = error(name, sampling["sampler"], sampling["spacing"], sampling["steps"])
    assert own < error(name, "ddim", "trailing", 25)

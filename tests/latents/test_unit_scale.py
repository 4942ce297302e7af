"""Latents far from the unit scale are refused before the first step. Oracles: published scales; the words of the error.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffloom.errors import ConfigError
from diffloom.latents.unit_scale import require_unit_scale
from diffloom.process import Draws
from diffloom.training import Trained

TrainLatent = Callable[..., Trained]

# Of Stable Diffusion's autoencoder on ImageNet (Karras et al. 2024, EDM2's normalisation of its latents).
SD_MEAN = torch.tensor([5.81, 3.25, 0.12, -2.15])[:, None, None]
SD_STD = torch.tensor([4.17, 4.62, 3.71, 3.28])[:, None, None]


def batches(x_BCHW: Tensor, size: int = 64) -> Iterator[Tensor]:
    return iter(x_BCHW.split(size))


def normal(count: int = 256) -> Tensor:
    return Draws.of(0, range(count)).normal("latents", (4, 8, 8))


@pytest.mark.parametrize(
    ("scale", "passes"), [(0.18215, True), (0.13025, True), (1.0, False), (0.18215**2, False)]
)
def test_published_scales_pass_and_forgotten_ones_do_not(scale: float, passes: bool) -> None:
    latents_BCHW = SD_MEAN + SD_STD * normal()
    if passes:
        std = require_unit_scale(batches(latents_BCHW * scale), channels=4)
        x = (latents_BCHW * scale).double().numpy()
        assert std == pytest.approx(x.std(), rel=1e-9)  # both passes in float64
        return
    with pytest.raises(ConfigError) as caught:
        require_unit_scale(batches(latents_BCHW * scale), channels=4)
    assert (
        f"a standard deviation of {latents_BCHW.double().std(correction=0) * scale:.3g} (by channel"
        in str(caught.value)
    )


@pytest.mark.parametrize(("std", "passes"), [(0.49, False), (0.51, True), (1.99, True), (2.01, False)])
def test_bounds(std: float, passes: bool) -> None:
    x_BCHW = normal()
    x_BCHW = std * (x_BCHW - x_BCHW.mean()) / x_BCHW.std(correction=0)
    try:
        require_unit_scale(batches(x_BCHW), channels=4)
    except ConfigError:
        assert not passes
    else:
        assert passes


def test_only_the_first_are_looked_at() -> None:
    """The 257th would be refused; it lies inside the last batch that is read."""
    x_BCHW = torch.cat([normal(256), torch.full((44, 4, 8, 8), float("nan"))])
    assert require_unit_scale(batches(x_BCHW, 100), channels=4) == pytest.approx(1, abs=0.02)


def test_not_finite() -> None:
    x_BCHW = normal()
    x_BCHW[70, 2, 1, 1] = float("inf")
    with pytest.raises(ConfigError, match="the first 128 examples hold NaN or infinite numbers"):
        require_unit_scale(batches(x_BCHW), channels=4)


def test_training_refuses_and_leaves_nothing(
    tmp_path: Path, latent_yaml: Path, train_latent: TrainLatent
) -> None:
    with pytest.raises(ConfigError) as caught:
        train_latent(latent_yaml, tmp_path / "run", "space.scale=7.0")
    told = str(caught.value)
    assert told.startswith("space: the latents of the first 256 examples have a standard deviation of ")
    assert told.endswith(
        "and the noise schedule is made for 1; measure and store it with `diffloom calibrate` on this file, or set "
        "the autoencoder's published space.scale"
    )
    assert not list((tmp_path / "run").rglob("*.*aml"))
    train_latent(
        latent_yaml, tmp_path / "run", "space.scale=0.3", "space.shift=2.0"
    )  # the folder serves again


def test_a_resumed_run_is_not_asked_again(
    tmp_path: Path, latent_yaml: Path, train_latent: TrainLatent, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("space.scale=0.3", "space.shift=2.0")
    train_latent(latent_yaml, tmp_path / "run", *words)

    def never(*args: object, **kwargs: object) -> float:
        raise AssertionError

    monkeypatch.setattr("diffloom.training.opening.require_unit_scale", never)
    train_latent(latent_yaml, tmp_path / "run", *words, "train.steps=22", resume=True)


def test_asking_changes_no_number(
    tmp_path: Path,
    latent_yaml: Path,
    train_latent: TrainLatent,
    outcome: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("space.scale=0.3", "space.shift=2.0", "train.sample_every=null")
    train_latent(latent_yaml, tmp_path / "asked", *words)
    monkeypatch.setattr("diffloom.training.opening.require_unit_scale", lambda x0, channels: 1.0)
    train_latent(latent_yaml, tmp_path / "not", *words)
    assert outcome(tmp_path / "asked") == outcome(tmp_path / "not")

"""How a batch becomes x₀. Oracles: mean + deviation · noise by hand; the same examples in other batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import diffloom
from diffloom.process import Draws
from diffloom.training import Trained
from diffloom.training.encoding import drawn, encoded

SHAPE = (2, 3, 3)


class Plain:
    """A codec without a posterior."""

    def encode(self, images_BCHW: Tensor) -> Tensor:
        return images_BCHW / 2

    def decode(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW * 2


class Spread(Plain):
    """A codec whose posterior has deviation 3 around half the picture."""

    def posterior(self, images_BCHW: Tensor) -> Tensor:
        return torch.stack([images_BCHW / 2, torch.full_like(images_BCHW, 3.0)], dim=1)

    def draw(self, posterior: Tensor, eps_BCHW: Tensor | None) -> Tensor:
        assert eps_BCHW is not None
        return posterior[:, 0] + posterior[:, 1] * eps_BCHW


def test_a_plain_codec_encodes() -> None:
    images = torch.rand(4, *SHAPE)
    assert torch.equal(encoded(Plain(), images, Draws.of(5, range(4)), shape=SHAPE), images / 2)


def test_a_posterior_is_drawn_from_by_position() -> None:
    images, draws = torch.rand(4, *SHAPE), Draws.of(5, range(4))
    x0 = encoded(Spread(), images, draws, shape=SHAPE)
    assert torch.equal(x0, images / 2 + 3 * draws.normal("posterior", SHAPE))
    parts = [
        encoded(Spread(), images[rows], Draws.of(5, range(4)[rows]), shape=SHAPE)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    assert torch.equal(torch.cat(parts), x0)


def test_a_known_posterior_gives_the_same() -> None:
    """What a cache keeps and what is encoded anew end as the same x₀."""
    images, draws, codec = torch.rand(4, *SHAPE), Draws.of(5, range(4)), Spread()
    known = drawn(codec, codec.posterior(images), draws, shape=SHAPE)
    assert torch.equal(known, encoded(codec, images, draws, shape=SHAPE))


def test_a_latent_model_trains_and_samples(
    tmp_path: Path, train_tiny: Callable[..., Trained], parts: Path
) -> None:
    """In a space with weights: they stay, beside a backbone that changes."""
    folder = train_tiny(tmp_path / "run", "space=parts/codes", "train.steps=3").folder
    pipe = diffloom.load(folder, plugins=(str(parts),), device="cpu")
    assert pipe.document.space_info.shape == (2, 2, 2)
    assert pipe.sample(label=[0, 1]).tensor.shape == (2, 1, 4, 4)
    begun = train_tiny(tmp_path / "begun", "space=parts/codes", "train.steps=1").folder
    early = diffloom.load(begun, plugins=(str(parts),), device="cpu")
    for name, tensor in early.module.state_dict().items():
        if name.startswith("space."):
            assert torch.equal(tensor, pipe.module.state_dict()[name])
    assert not torch.equal(early.module["backbone"].out.weight, pipe.module["backbone"].out.weight)

"""The laws of spaces and conditioners, on right ones and on mistakes made in them. Legend: B batch, C, H, W, D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import (
    Codec,
    Conditioner,
    ConditionInfo,
    ImageInfo,
    Reconstruction,
    Setting,
    Space,
    SpaceInfo,
)
from diffloom.process import Draws


class Folded(Space):
    """Folds 2×2 pixels into channels, right or with one mistake."""

    name = "folded"
    lossless = True

    mistake: str = ""
    """Which."""

    def info(self, image: ImageInfo) -> SpaceInfo:
        if self.mistake == "refuses everything":
            raise ValueError("no")
        channels = image.channels * (3 if self.mistake == "says fewer channels" else 4)
        return SpaceInfo(channels=channels, height=image.height // 2, width=image.width // 2)

    def build(self, *, image: ImageInfo) -> nn.Module:
        return FoldedModule(self.mistake)


class FoldedModule(nn.Module):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        self.shift = torch.randn(1) if mistake == "a weight outside state_dict" else torch.zeros(1)
        if mistake == "no decoder":
            self.decode = None  # type: ignore[assignment]

    def encode(self, images: Tensor) -> Tensor:
        x = nn.functional.pixel_unshuffle(images, 2) + self.shift.to(images.dtype)
        if self.mistake == "draws while encoding":
            x = x + 1e-3 * torch.randn_like(x)
        if self.mistake == "normalises over the batch":
            x = x / x.std()
        if self.mistake == "forgets the picture":
            x = torch.zeros_like(x)
        if self.mistake == "half precision":
            x = x.half().to(x.dtype)
        if self.mistake == "float32 only":
            x = x.float()
        if self.mistake == "divides by zero":
            x = x / (x - x)
        return x

    def decode(self, x: Tensor) -> Tensor:
        factor = 0.5 if self.mistake == "another scale back" else 1.0
        images = nn.functional.pixel_shuffle(x - self.shift.to(x.dtype), 2) * factor
        return images[:, :, :-1] if self.mistake == "loses a row" else images


def test_a_right_space_passes(passes: Callable[..., None]) -> None:
    passes(Folded)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("refuses everything", "builds"),
        ("no decoder", "builds"),
        ("says fewer channels", "has_the_shapes_it_says"),
        ("loses a row", "has_the_shapes_it_says"),
        ("float32 only", "has_the_shapes_it_says"),
        ("divides by zero", "has_the_shapes_it_says"),
        ("another scale back", "gives_back_the_picture"),
        ("half precision", "gives_back_the_picture"),
        ("forgets the picture", "tells_pictures_apart"),
        ("draws while encoding", "rows_are_independent"),
        ("normalises over the batch", "rows_are_independent"),
        ("a weight outside state_dict", "is_told_by_seed_and_weights"),
    ],
)
def test_a_mistake_in_a_space_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Folded, mistake=mistake)


class Lossy(Folded):
    """A space that claims nothing may lose something."""

    name = "lossy"
    lossless = False
    mistake: str = "half precision"
    """It rounds."""


def test_a_lossy_space_passes(passes: Callable[..., None]) -> None:
    passes(Lossy)


class Uncertain(Folded):
    """Folds to a distribution around the folded picture, and can be trained, right or with one mistake."""

    name = "uncertain"
    lossless = False

    def build(self, *, image: ImageInfo) -> nn.Module:
        return UncertainModule(self.mistake)


class UncertainModule(FoldedModule):
    def __init__(self, mistake: str) -> None:
        super().__init__(mistake)
        self.gain = nn.Parameter(torch.ones(()))
        self.spare = nn.Parameter(torch.ones(()))

    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images) * self.gain

    def posterior(self, images: Tensor) -> Tensor:
        mean = self.encode(images)
        std = mean.std() if self.mistake == "one spread for the batch" else mean.abs() + 0.1
        return torch.cat([mean, std.expand_as(mean)], dim=1)

    def draw(self, posterior: Tensor, eps: Tensor | None) -> Tensor:
        mean, std = posterior.chunk(2, dim=1)
        if eps is None:
            return mean + 1e-3 if self.mistake == "a mode that is not encoded" else mean
        if self.mistake == "no noise":
            return mean
        if self.mistake == "skewed noise":
            return mean + std * eps.exp()
        return mean + (eps + torch.randn_like(eps) if self.mistake == "noise of its own" else eps) * std

    def reconstruct(self, images: Tensor, *, draws: Draws) -> Reconstruction:
        mean = self.encode(images)
        eps = draws.normal("posterior", mean.shape[1:], dtype=mean.dtype)
        if self.mistake == "unkeyed noise":
            eps = torch.randn_like(mean)
        cost = (mean**2).flatten(1).sum(1) * (
            1 if self.mistake == "a weight without gradient" else self.spare
        )
        return Reconstruction(
            images_BCHW=images,
            reconstructed_BCHW=self.decode(mean + 0.1 * eps),
            regularisation_B=cost.mean() if self.mistake == "one cost for the batch" else cost,
            last_layer=torch.ones(()) if self.mistake == "a last layer of nobody" else self.gain,
        )


def test_a_right_posterior_passes(passes: Callable[..., None]) -> None:
    passes(Uncertain)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("a mode that is not encoded", "draws_around_its_mode"),
        ("no noise", "draws_around_its_mode"),
        ("skewed noise", "draws_around_its_mode"),
        ("noise of its own", "draws_around_its_mode"),
        ("one spread for the batch", "draws_around_its_mode"),
        ("unkeyed noise", "can_be_trained_whole"),
        ("one cost for the batch", "can_be_trained_whole"),
        ("a weight without gradient", "can_be_trained_whole"),
        ("a last layer of nobody", "can_be_trained_whole"),
    ],
)
def test_a_mistake_in_a_posterior_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Uncertain, mistake=mistake)


class Number(Conditioner):
    """A number from 0 to 9 as a vector of three, right or with one mistake."""

    name = "number"

    mistake: str = ""
    """Which."""

    def info(self, setting: Setting) -> ConditionInfo:
        return ConditionInfo(vector=4 if self.mistake == "says another width" else 3)

    def parse(self, text: str) -> float:
        return self.check(float(text))

    def check(self, raw: Any) -> float:
        if self.mistake == "takes everything":
            return raw if isinstance(raw, float) else 0.0
        if self.mistake == "refuses by TypeError" and not isinstance(raw, float):
            raise TypeError(raw)
        if not isinstance(raw, float | int) or not 0 <= raw <= 9:
            raise ValueError(f"{raw!r} is not from 0 to 9")
        return float(raw) / 2 if self.mistake == "no normal form" else float(raw)

    def build(self, *, setting: Setting, codec: Codec) -> nn.Module:
        return NumberModule(self.mistake)


class NumberModule(nn.Module):
    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake
        seed = next(SEEDS) if mistake == "unseeded weights" else int(torch.randint(1000, ()))
        self.scale = nn.Parameter(torch.rand(3, generator=torch.Generator().manual_seed(seed)) + 1)

    def encode(self, raw: Sequence[float]) -> Condition:
        x_B1 = torch.tensor([[float(value)] for value in raw], dtype=self.scale.dtype)
        if self.mistake == "one encoding for all":
            x_B1 = torch.ones_like(x_B1)
        if self.mistake == "relative to the batch":
            x_B1 = x_B1 - x_B1.mean()
        vector_BD = x_B1 * self.scale + 1
        if self.mistake == "class ids as numbers":
            return Condition(vector_BD=vector_BD, class_B=torch.zeros(len(raw)))
        return Condition(vector_BD=vector_BD[:1] if self.mistake == "one row for all" else vector_BD)

    def null(self, count: int) -> Condition:
        if self.mistake == "null is a number":
            return self.encode([0.0] * count)
        return Condition(
            vector_BD=torch.zeros(count, 2 if self.mistake == "a narrower null" else 3).to(self.scale)
        )


SEEDS = iter(range(1000))


def test_a_right_conditioner_passes(passes: Callable[..., None]) -> None:
    passes(Number)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("says another width", "fills_the_slots_it_says"),
        ("one row for all", "fills_the_slots_it_says"),
        ("a narrower null", "fills_the_slots_it_says"),
        ("class ids as numbers", "fills_the_slots_it_says"),
        ("null is a number", "tells_conditions_apart"),
        ("one encoding for all", "tells_conditions_apart"),
        ("relative to the batch", "rows_are_independent"),
        ("takes everything", "refuses_nonsense"),
        ("refuses by TypeError", "refuses_nonsense"),
        ("no normal form", "refuses_nonsense"),
        ("unseeded weights", "is_told_by_seed"),
    ],
)
def test_a_mistake_in_a_conditioner_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Number, mistake=mistake)


class Mute(Number):
    """Takes none of the texts it offers."""

    name = "mute"
    specimen_texts: ClassVar[tuple[str, ...]] = ("77", "full")


def test_a_conditioner_without_texts_is_told(caught: Callable[..., None]) -> None:
    caught("builds", Mute)

"""Laws of the kind `space`. Legend: B batch, C channels, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from diffloom.kinds import ImageInfo, LatentSpace, PosteriorCodec, Space, TrainableCodec
from diffloom.process import Draws
from diffloom.testing.checks import BrokenLawError, Check, expect, expect_close
from diffloom.testing.closed_forms import normal
from diffloom.testing.modules import awake, expect_module, expect_seeded, expect_state_tells_all

IMAGES = [
    ImageInfo(height=height, width=width, channels=channels)
    for height, width in ((16, 16), (8, 24), (32, 32), (64, 64), (256, 256))
    for channels in (1, 3)
]


def builds(component: Space) -> None:
    """It fits some picture; what it refuses, it refuses by ValueError in info(), before anything is built."""
    for image in _accepted(component):
        expect_module(component.build(image=image), ("encode", "decode"))


def has_the_shapes_it_says(component: Space) -> None:
    """encode() gives info()'s shape and decode() the picture's, finite, in the input's dtype."""
    for image in _accepted(component):
        info = component.info(image)
        expect(min(info.shape) >= 1, "a shape of positive sizes", info)
        for dtype in (torch.float32, torch.float64):
            module = awake(component.build(image=image)).to(dtype)
            for batch in (1, 3):
                images = _images(image, batch).to(dtype)
                x = _encode(module, images)
                back = _decode(module, x)
                for name, value, shape in (("encode", x, info.shape), ("decode", back, image.shape)):
                    expect(
                        value.shape == (batch, *shape), f"{name}() to give (B, *{shape})", tuple(value.shape)
                    )
                    expect(value.dtype == dtype, f"{name}() to keep {dtype}", value.dtype)
                    expect(bool(value.isfinite().all()), f"finite values of {name}()", "inf or NaN")


def gives_back_the_picture(component: Space) -> None:
    """A space that says `lossless` decodes what it encoded to the picture, to 1e-10 in float64; and conversely."""
    if component.lossless:
        for image in _accepted(component):
            module = component.build(image=image).double().eval()
            images = _images(image, 2)
            expect_close(
                _decode(module, _encode(module, images)), images, within=1e-10, what="decode(encode(images))"
            )
            x = normal((2, *component.info(image).shape))
            expect_close(_encode(module, _decode(module, x)), x, within=1e-10, what="encode(decode(x))")


def tells_pictures_apart(component: Space) -> None:
    """Another picture has another encoding, and another point another picture."""
    image = next(_accepted(component))
    module = awake(component.build(image=image)).double()
    x = _encode(module, _images(image, 2))
    expect(not torch.equal(x[0], x[1]), "two pictures to have two encodings", "one")
    back = _decode(module, x)
    expect(not torch.equal(back[0], back[1]), "two encodings to decode to two pictures", "one")


def rows_are_independent(component: Space) -> None:
    """A row is the same alone as in a batch, and twice: encoding and decoding draw nothing."""
    for image in _accepted(component):
        module = awake(component.build(image=image)).double()
        images = _images(image, 3)
        x = _encode(module, images)
        back = _decode(module, x)
        for row in range(3):
            alone = slice(row, row + 1)
            expect_close(
                _encode(module, images[alone]), x[alone], within=1e-10, what=f"encoding of row {row} alone"
            )
            expect_close(
                _decode(module, x[alone]), back[alone], within=1e-10, what=f"decoding of row {row} alone"
            )


@torch.no_grad()
def draws_around_its_mode(component: Space) -> None:
    """A `PosteriorCodec` without noise draws what it encodes; with ε, mode + L·ε, for an L that is not zero."""
    image = next(_accepted(component))
    module = awake(component.build(image=image)).double()
    if isinstance(module, PosteriorCodec):
        images = _images(image, 3)
        posterior = module.posterior(images.clone())
        expect(len(posterior) == 3, "a posterior of 3 rows", len(posterior))
        mode = module.draw(posterior, None)
        expect_close(mode, _encode(module, images), within=1e-10, what="draw(posterior(images), None)")
        eps, other = normal(mode.shape, seed=1), normal(mode.shape, seed=2)
        drawn = module.draw(posterior, eps)
        expect(drawn.shape == mode.shape, f"draws of {tuple(mode.shape)}", tuple(drawn.shape))
        expect(not torch.equal(drawn, mode), "another draw with noise than without", "the same")
        sum_of_both = drawn + module.draw(posterior, other) - mode
        both = module.draw(posterior, eps + other)
        expect_close(both, sum_of_both, within=1e-10, what="draws to be the mode and a multiple of the noise")
        for row in range(3):
            alone = module.draw(module.posterior(images[row : row + 1].clone()), eps[row : row + 1])
            expect_close(alone, drawn[row : row + 1], within=1e-10, what=f"draw of row {row} alone")


@torch.no_grad()
def normalises_as_it_says(component: Space) -> None:
    """A `LatentSpace` gives (latent − shift)·scale of what it gives unnormalised; a posterior is the same with any
    normalisation, and of a draw each number is moved by its own noise alone. Calibration and caches rest on this."""
    if not isinstance(component, LatentSpace):
        return
    image = next(_accepted(component))
    bare, scaled = (
        component.unnormalised(),
        component.unnormalised().model_copy(update={"shift": 0.25, "scale": 0.5}),
    )
    plain, module = (awake(space.build(image=image)).double() for space in (bare, scaled))
    module.load_state_dict(plain.state_dict())
    images = _images(image, 2)
    latents = _encode(plain, images)
    what = "encode() to give (latent - shift) * scale"
    expect_close(_encode(module, images), (latents - 0.25) * 0.5, within=1e-10, what=what)
    if isinstance(plain, PosteriorCodec) and isinstance(module, PosteriorCodec):
        posterior = plain.posterior(images.clone())
        what = "a posterior to be the same with another normalisation"
        expect_close(module.posterior(images.clone()), posterior, within=1e-10, what=what)
        eps = normal(latents.shape, seed=1)
        drawn = plain.draw(posterior, eps)
        what = "draw() to give (latent - shift) * scale"
        expect_close(module.draw(posterior, eps), (drawn - 0.25) * 0.5, within=1e-10, what=what)
        some = normal(latents.shape, seed=2) > 0
        what = "each number of a draw to depend on its own noise alone"
        halves = torch.where(some, drawn, plain.draw(posterior, None))
        expect_close(plain.draw(posterior, eps * some), halves, within=1e-10, what=what)


def can_be_trained_whole(component: Space) -> None:
    """A `TrainableCodec` reconstructs pictures of the same shape, a row alone alike, and trains every weight."""
    image = next(_accepted(component))
    module = awake(component.build(image=image)).double()
    if isinstance(module, TrainableCodec):
        images = _images(image, 3)
        made = module.reconstruct(images.clone(), draws=Draws.of(0, range(3)))
        back, cost = made.reconstructed_BCHW, made.regularisation_B
        expect(back.shape == images.shape, f"reconstructions of {tuple(images.shape)}", tuple(back.shape))
        expect(cost.shape == (3,), "a regularisation of (3,)", tuple(cost.shape))
        alone = module.reconstruct(images[1:2].clone(), draws=Draws.of(0, [1]))
        expect_close(alone.reconstructed_BCHW, back[1:2], within=1e-10, what="reconstruction of row 1 alone")
        expect_close(alone.regularisation_B, cost[1:2], within=1e-10, what="regularisation of row 1 alone")
        last = any(made.last_layer is weight for weight in module.parameters())
        expect(last, "last_layer to be a weight of its own", tuple(made.last_layer.shape))
        loss = (back * normal(back.shape, seed=9)).sum() + cost.sum()
        torch.autograd.backward(loss)
        bare = [n for n, w in module.named_parameters() if w.requires_grad and w.grad is None]
        expect(not bare, "a gradient for every weight", f"none for {', '.join(bare[:5])}")


def is_told_by_seed_and_weights(component: Space) -> None:
    """Equal seeds build equal weights, and the state_dict holds all that encoding and decoding depend on."""
    image = next(_accepted(component))
    images = _images(image, 1).float()
    expect_seeded(lambda: component.build(image=image))
    expect_state_tells_all(
        lambda: component.build(image=image), lambda module: _decode(module, _encode(module, images))
    )


def _accepted(component: Space) -> Iterator[ImageInfo]:
    """The first three pictures that info() takes."""
    count = 0
    for image in IMAGES:
        try:
            component.info(image)
        except ValueError:
            continue
        yield image
        if (count := count + 1) == 3:
            return
    if not count:
        raise BrokenLawError(
            f"expected it to take a picture of {', '.join(str(image.shape) for image in IMAGES)}"
        )


def _images(image: ImageInfo, batch: int) -> Tensor:
    """Keyed pictures in [-1, 1], float64."""
    return normal((batch, *image.shape)).mul(0.5).tanh()


def _encode(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return cast(Tensor, module.encode(images.clone()))  # type: ignore[operator]


def _decode(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return cast(Tensor, module.decode(x.clone()))  # type: ignore[operator]


CHECKS: tuple[Check, ...] = (
    builds,
    has_the_shapes_it_says,
    gives_back_the_picture,
    tells_pictures_apart,
    rows_are_independent,
    draws_around_its_mode,
    normalises_as_it_says,
    can_be_trained_whole,
    is_told_by_seed_and_weights,
)

"""Oracle: diffusers' `AutoencoderKL`, `VQModel` and `AutoencoderTiny` with their own random weights, run beside ours.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

# float32 sums in another order (one projection for q, k and v) differ by some units in the last place, 1e-7 each
# layer; in float64 the same differences must fall to 1e-15 each, which no difference of mathematics would do.
DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-12)]
KINDS = ["KL", "KL that attends", "KL of 16 channels", "KL of one level", "VQ", "VQ that attends"]
TINY = ["tiny", "tiny of 16 channels"]


def error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, as a share of the largest output."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def their_latents(twins: Any) -> Tensor:
    """As diffusers' pipelines normalise them."""
    encoded = twins.theirs.encode(twins.images_BCHW)
    latents = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    config = twins.theirs.config
    return (latents - (config.get("shift_factor") or 0)) * config.scaling_factor


def their_pictures(twins: Any, x_BCHW: Tensor) -> Tensor:
    """As diffusers' pipelines decode."""
    config = twins.theirs.config
    return twins.theirs.decode(x_BCHW / config.scaling_factor + (config.get("shift_factor") or 0)).sample


@pytest.mark.parametrize("shape", [*KINDS, *TINY])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES, ids=["float32", "float64"])
def test_encode_and_decode(
    shape: str, dtype: torch.dtype, tolerance: float, make_twins: Callable[..., Any]
) -> None:
    twins = make_twins(shape, dtype)
    with torch.no_grad():
        x_BCHW = their_latents(twins)
        images_BCHW = their_pictures(twins, x_BCHW)
        assert min(x_BCHW.std(), images_BCHW.std()) > 0.01
        assert error(twins.ours.encode(twins.images_BCHW), x_BCHW) < tolerance
        assert error(twins.ours.decode(x_BCHW), images_BCHW) < tolerance


@pytest.mark.parametrize("shape", ["KL", "KL of 16 channels"])
def test_draws(shape: str, make_twins: Callable[..., Any]) -> None:
    """The posterior is theirs, and a draw is their mean and deviation, put together with our noise, normalised."""
    twins = make_twins(shape)
    with torch.no_grad():
        theirs = twins.theirs.encode(twins.images_BCHW).latent_dist
        posterior = twins.ours.posterior(twins.images_BCHW)
        eps_BCHW = torch.randn_like(theirs.mean)
        drawn = twins.ours.draw(posterior, eps_BCHW)
    part = twins.part
    assert error(posterior, theirs.parameters) < 1e-12
    assert error(drawn, (theirs.mean + theirs.std * eps_BCHW - part.shift) * part.scale) < 1e-12


def test_extreme_deviations_are_kept_in_range(make_twins: Callable[..., Any]) -> None:
    """Oracle: diffusers clamps log-variances to [-30, 20]."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    ours = make_twins("KL").ours
    mean, log_var = torch.zeros(1, 4, 2, 2), torch.tensor([-100.0, -30.0, 20.0, 100.0]).view(1, 4, 1, 1)
    posterior = torch.cat([mean, log_var.expand_as(mean)], dim=1)
    drawn = ours.draw(posterior, torch.ones_like(mean)) / ours.handling.scale[0]
    torch.testing.assert_close(drawn, DiagonalGaussianDistribution(posterior).std, rtol=1e-5, atol=0)


@pytest.mark.parametrize("shape", ["KL that attends", "VQ", "tiny of 16 channels"])
def test_gradients_of_the_input(shape: str, make_twins: Callable[..., Any]) -> None:
    """Of a random projection of the decoded picture, and of the latents."""
    twins = make_twins(shape)
    images = twins.images_BCHW.requires_grad_()
    theirs_x, ours_x = their_latents(twins), twins.ours.encode(images)
    weights = torch.randn_like(theirs_x)
    theirs, ours = (torch.autograd.grad((x * weights).sum(), images)[0] for x in (theirs_x, ours_x))
    assert error(ours, theirs) < 1e-10
    if (
        shape != "VQ"
    ):  # there, diffusers lets the gradient through the codebook, which is a matter of training
        x_BCHW = theirs_x.detach().requires_grad_()
        pictures = their_pictures(twins, x_BCHW), twins.ours.decode(x_BCHW)
        weights = torch.randn_like(pictures[0])
        theirs, ours = (torch.autograd.grad((made * weights).sum(), x_BCHW)[0] for made in pictures)
        assert error(ours, theirs) < 1e-10


def test_channel_statistics_normalise(make_twins: Callable[..., Any]) -> None:
    """Oracle: the same latents, their own mean taken off and divided by their own deviation."""
    from diffloom.kinds import Statistics

    twins = make_twins("KL")
    with torch.no_grad():
        raw = twins.ours.encode(twins.images_BCHW) / twins.part.scale
        mean, std = raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3))
        statistics = Statistics(
            mean=tuple(mean.tolist()), std=tuple(std.tolist()), examples=2, data="of a test"
        )
        part = twins.part.model_copy(update={"scale": 1.0, "statistics": statistics})
        codec = part.build(image=twins.inferred.shapes["image"]).double()
        codec.load_state_dict(twins.ours.state_dict())
        x_BCHW = codec.encode(twins.images_BCHW)
        assert error(x_BCHW, (raw - mean[:, None, None]) / std[:, None, None]) < 1e-12
        assert error(codec.decode(x_BCHW), twins.theirs.decode(raw).sample) < 1e-12

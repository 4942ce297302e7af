"""What training sees. Oracles: torch.distributions, diffusers' vector quantiser, and the formulas of the papers.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from diffloom.kinds import ImageInfo
from diffloom.process import Draws
from diffloom_autoencoder import AutoencoderKL

DRAWS = Draws.of(5, range(2), step=3)


def test_kl_is_the_divergence_in_nats(make_twins: Callable[..., Any]) -> None:
    twins = make_twins("KL")
    made = twins.ours.reconstruct(twins.images_BCHW, draws=DRAWS)
    theirs = twins.theirs.encode(twins.images_BCHW).latent_dist
    nats = kl_divergence(Normal(theirs.mean, theirs.std), Normal(0.0, 1.0)).flatten(1).sum(1)
    assert nats.min() > 1
    torch.testing.assert_close(made.regularisation_B, nats, rtol=1e-12, atol=0)


def test_kl_reconstructs_a_keyed_draw(make_twins: Callable[..., Any]) -> None:
    """Unnormalised: what is trained is the autoencoder, whatever is made of its latents."""
    twins = make_twins("KL of 16 channels")
    made = twins.ours.reconstruct(twins.images_BCHW, draws=DRAWS)
    theirs = twins.theirs.encode(twins.images_BCHW).latent_dist
    eps_BCHW = DRAWS.normal("posterior", theirs.mean.shape[1:], dtype=torch.float64)
    expected = twins.theirs.decode(theirs.mean + theirs.std * eps_BCHW).sample
    torch.testing.assert_close(made.reconstructed_BCHW, expected, rtol=0, atol=1e-11)
    assert made.images_BCHW is twins.images_BCHW


def test_vq_loss_and_straight_through_gradients(make_twins: Callable[..., Any]) -> None:
    """Theirs, in its paper's form (`legacy=False`), with the mean over the latents; ours is their sum."""
    twins = make_twins("VQ")
    twins.theirs.quantize.legacy = False
    images = twins.images_BCHW[:1]
    made = twins.ours.reconstruct(images, draws=DRAWS)
    latents = twins.theirs.encode(images).latents
    latents.retain_grad()
    decoded = twins.theirs.decode(latents)
    torch.testing.assert_close(made.reconstructed_BCHW, decoded.sample, rtol=0, atol=1e-12)
    loss = decoded.commit_loss * latents.numel()
    assert loss > 1e-3
    torch.testing.assert_close(made.regularisation_B, loss[None], rtol=1e-12, atol=0)

    weights = torch.randn_like(decoded.sample)
    (loss + (decoded.sample * weights).sum()).backward()
    (made.regularisation_B.sum() + (made.reconstructed_BCHW * weights).sum()).backward()
    theirs = {name: weight.grad for name, weight in twins.theirs.named_parameters()}
    largest = max(grad.abs().max() for grad in theirs.values())
    ours = dict(twins.ours.named_parameters())
    for entry in twins.bridge.entries(twins.ours):
        expected = entry.change.read([theirs[name] for name in entry.theirs])
        torch.testing.assert_close(ours[entry.ours].grad, expected, rtol=1e-9, atol=1e-13 * largest)


def test_vq_decodes_entries_only(make_twins: Callable[..., Any]) -> None:
    """Latents and the entries nearest to them are one picture; the entries are diffusers'."""
    twins = make_twins("VQ that attends")
    with torch.no_grad():
        latents = twins.theirs.encode(twins.images_BCHW).latents
        entries = twins.theirs.quantize(latents)[0]
        torch.testing.assert_close(twins.ours.codebook(latents), entries, rtol=0, atol=1e-15)
        scale = twins.part.scale
        assert torch.equal(
            twins.ours.decode(latents * scale), twins.ours.decode(twins.ours.codebook(latents) * scale)
        )


def test_places_are_looked_up_in_parts_alike(make_twins: Callable[..., Any]) -> None:
    """More places than are looked up at once; oracle: the distances to all entries, written out."""
    from diffloom_autoencoder import codebook

    ours = make_twins("VQ").ours.codebook
    latents = torch.randn(2, 3, 70, 40, dtype=torch.float64) / 3
    assert codebook.PLACES < 2 * 70 * 40
    distances = (latents.movedim(1, 3)[..., None, :] - ours.entries_KC).square().sum(-1)
    expected = ours.entries_KC[distances.argmin(-1)].movedim(3, 1)
    assert torch.equal(ours(latents), expected)


def test_tiny_has_nothing_to_regularise(make_twins: Callable[..., Any]) -> None:
    twins = make_twins("tiny of 16 channels")
    made = twins.ours.reconstruct(twins.images_BCHW, draws=DRAWS)
    expected = twins.theirs.decode(twins.theirs.encode(twins.images_BCHW).latents).sample
    torch.testing.assert_close(made.reconstructed_BCHW, expected, rtol=0, atol=1e-12)
    assert torch.equal(made.regularisation_B, torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("shape", ["KL", "VQ", "tiny"])
def test_the_last_layer_makes_the_picture(shape: str, make_twins: Callable[..., Any]) -> None:
    """Its weight has a row for each colour, and the picture is linear in it."""
    twins = make_twins(shape)
    made = twins.ours.reconstruct(twins.images_BCHW, draws=DRAWS)
    (first,) = torch.autograd.grad(made.reconstructed_BCHW[:, 0].sum(), made.last_layer, create_graph=True)
    assert made.last_layer.shape[0] == 3
    assert first[0].any()
    assert not first[1:].any()
    assert not torch.autograd.grad(first.sum(), made.last_layer, allow_unused=True, materialize_grads=True)[
        0
    ].any()


def test_it_learns() -> None:
    """Forty steps on four pictures halve the error, which the gradient alone can do."""
    torch.manual_seed(0)
    codec = AutoencoderKL(channels=(8, 16), norm_groups=4, blocks_per_level=1).build(image=ImageInfo(8, 8, 1))
    images = torch.randn(4, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3).tanh()
    optimizer = torch.optim.Adam(codec.parameters(), lr=3e-3)
    errors = []
    for step in range(40):
        made = codec.reconstruct(images, draws=Draws.of(0, range(4), step))
        loss = (made.reconstructed_BCHW - images).square().mean() + 1e-6 * made.regularisation_B.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < errors[0] / 2

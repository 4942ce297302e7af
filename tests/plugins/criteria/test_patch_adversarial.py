"""The adversarial criterion. Oracles: the published losses and their balance written out; pix2pix's parameter
count; torch's autograd on the two sides one after the other."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from diffloom.kinds import ImageInfo
from diffloom_criteria import PatchAdversarial, PatchDiscriminator

GREY = ImageInfo(height=12, width=16, channels=1)
SMALL = PatchAdversarial(layers=2, channels=4, norm_groups=2)


def judge_of(component, image=GREY):
    torch.manual_seed(0)
    return component.build(image=image).double()


def far(made):
    """The loss of a criterion before it."""
    return (made.images_BCHW - made.reconstructed_BCHW).abs().mean()


@pytest.mark.parametrize("kind", ["hinge", "non_saturating"])
@pytest.mark.parametrize("factor", [1.0, 37.5])
def test_the_published_losses(reconstructed, kind, factor):
    """Hinge: Lim & Ye 2017; with logarithms: Goodfellow et al. 2014, §3; the balance: Esser et al. 2021, eq. 7."""
    judge = judge_of(SMALL.model_copy(update={"loss": kind}))
    made = reconstructed((3, *GREY.shape))
    cost, own = judge(made, so_far=factor * far(made), step=1)

    real, fake = (judge.discriminator(x).flatten(1) for x in (made.images_BCHW, made.reconstructed_BCHW))
    if kind == "hinge":
        rival = -fake.mean(1)
        wanted_own = 0.5 * ((1 - real).clamp(min=0).mean(1) + (1 + fake).clamp(min=0).mean(1))
    else:
        rival = -torch.log(torch.sigmoid(fake)).mean(1)
        wanted_own = -0.5 * (torch.log(torch.sigmoid(real)) + torch.log(1 - torch.sigmoid(fake))).mean(1)
    towards = torch.autograd.grad(factor * far(made), made.last_layer, retain_graph=True)[0]
    against = torch.autograd.grad(rival.mean(), made.last_layer, retain_graph=True)[0]
    balance = math.dist(towards.flatten(), torch.zeros(towards.numel())) / (
        math.dist(against.flatten(), torch.zeros(against.numel())) + 1e-4
    )
    torch.testing.assert_close(cost, balance * rival, rtol=1e-9, atol=0)
    torch.testing.assert_close(own, wanted_own, rtol=1e-9, atol=0)


def test_the_balance_is_bounded(reconstructed):
    """A discriminator that sees no difference has no gradient; the balance stays at 10⁴."""
    judge = judge_of(SMALL)
    last = judge.discriminator.parts[-1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, 2.0)
    made = reconstructed((2, *GREY.shape))
    cost, _ = judge(made, so_far=1e6 * far(made), step=1)
    assert cost.tolist() == [-2e4, -2e4]


@pytest.mark.parametrize("kind", ["hinge", "non_saturating"])
def test_both_sides_learn_in_one_step_what_they_would_in_two(reconstructed, kind):
    """As the original alternates: the autoencoder's gradient with the discriminator fixed, then the discriminator's on
    reconstructions held fixed. One backward of the sum gives both."""
    judge = judge_of(SMALL.model_copy(update={"loss": kind}))
    network = judge.discriminator
    weights = list(network.parameters())
    made = reconstructed((3, *GREY.shape))
    cost, own = judge(made, so_far=far(made), step=1)
    (cost.mean() + own.mean()).backward(retain_graph=True)

    def rival(logits):
        return (-logits if kind == "hinge" else functional.softplus(-logits)).mean()

    alone = rival(network(made.reconstructed_BCHW))
    ratio = cost.mean().item() / alone.item()  # the balance, which is a constant to both
    (wanted,) = torch.autograd.grad(ratio * alone, made.last_layer, retain_graph=True)
    torch.testing.assert_close(made.last_layer.grad, wanted, rtol=1e-9, atol=1e-15)

    real, fake = network(made.images_BCHW), network(made.reconstructed_BCHW.detach())
    below = (lambda margin: (1 + margin).relu()) if kind == "hinge" else functional.softplus
    theirs = torch.autograd.grad((below(-real).mean() + below(fake).mean()) / 2, weights)
    for weight, grad in zip(weights, theirs, strict=True):
        torch.testing.assert_close(weight.grad, grad, rtol=1e-9, atol=1e-15)


def test_it_learns_to_tell(reconstructed):
    """Gradient descent on its own loss: pictures end above zero, reconstructions below."""
    judge = judge_of(PatchAdversarial(layers=1, channels=8, norm_groups=4))
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    made = reconstructed((8, *GREY.shape))
    for _ in range(60):
        _, own = judge(made, so_far=far(made), step=1)
        optimizer.zero_grad()
        own.mean().backward()
        optimizer.step()
    assert judge.discriminator(made.images_BCHW).mean() > 0.5
    assert judge.discriminator(made.reconstructed_BCHW).mean() < -0.5


def test_the_network_of_the_paper():
    """Isola et al.'s 70×70 PatchGAN sees 256 pixels in 30×30 patches; for picture and condition together, 6 channels,
    their program counts 2.769 M weights, its batch norms' scales and shifts included."""
    with torch.device("meta"):
        network = PatchDiscriminator(in_channels=6, channels=64, layers=3, norm_groups=32)
        logits = network(torch.zeros(1, 6, 256, 256))
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 3) == 2.769
    assert logits.shape == (1, 1, 30, 30)


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_patches(layers, patch):
    """How far a logit sees, found by its gradient; norms, which see the whole picture, taken out."""
    network = PatchDiscriminator(in_channels=1, channels=2, layers=layers, norm_groups=1)
    network.parts = nn.Sequential(*(part for part in network.parts if not isinstance(part, nn.GroupNorm)))
    for weight in network.parameters():
        nn.init.constant_(weight, 1.0)
    x = torch.rand(1, 1, 160, 160, requires_grad=True)
    logits = network(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    assert (x.grad[0, 0] != 0).any(0).sum() == patch


@pytest.mark.parametrize(
    ("component", "side", "message"),
    [
        (PatchAdversarial(), 8, "each side needs 24 pixels, and these are 8×8; set layers: 1"),
        (PatchAdversarial(), 12, "these are 12×12; set layers: 2"),
        (
            PatchAdversarial(layers=1),
            5,
            "each side needs 6 pixels, and these are 5×5; leave this criterion out",
        ),
        (PatchAdversarial(channels=4), 24, "norm_groups: 32 does not divide 8 channels, twice `channels`"),
    ],
)
def test_what_it_refuses(component, side, message):
    with pytest.raises(ValueError, match=message):
        component.build(image=ImageInfo(height=side, width=side, channels=1))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_picture_has_one_patch(layers):
    side = 3 * 2**layers
    judge = judge_of(PatchAdversarial(layers=layers, channels=2, norm_groups=2), ImageInfo(side, side, 1))
    assert judge.discriminator(torch.zeros(1, 1, side, side, dtype=torch.float64)).shape == (1, 1, 1, 1)

"""Self-conditioned U-Nets: twice the channels in, trained and sampled through configuration; bridges refuse them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import diffloom
from diffloom import config
from diffloom.bridge import Inferred
from diffloom.condition import Condition
from diffloom.errors import CheckpointError, ConfigError
from diffloom.kinds import Backbone, ConditionInfo, SpaceInfo
from diffloom.plugins import load_plugins
from diffloom.process import Draws
from diffloom.training import train
from diffloom_unet import CrossAttentionUNet, UNet
from diffloom_unet.bridges.diffusers_cross_attention import DiffusersCrossAttentionUNet
from diffloom_unet.bridges.diffusers_unet import DiffusersUNet
from diffloom_unet.bridges.openai import OpenAIUNet

FILE = """\
image: {size: 8, channels: 1}
backbone: {type: unet, channels: [8, 16], blocks_per_level: 1, norm_groups: 4, attention_resolutions: [],
           self_conditioning: true, learn_variance: true}
schedule: cosine
prediction: v
variance: learned_range
objective: {type: hybrid, self_conditioning: true}
sampling: {sampler: ddpm, steps: 4, spacing: linspace}
data: digits
train: {steps: 2, batch_size: 4, lr: 1e-2, sample_every: 2, ema: {decay: 0}}
"""
SPACE = SpaceInfo(channels=3, height=8, width=8)
SMALL = {"channels": (8, 16), "blocks_per_level": 1, "norm_groups": 4}
NETWORKS = {
    "unet": (UNet(attention_resolutions=(), self_conditioning=True, **SMALL), ConditionInfo()),
    "with pictures": (
        UNet(attention_resolutions=(), self_conditioning=True, **SMALL),
        ConditionInfo(concat=2),
    ),
    "cross_attention_unet": (
        CrossAttentionUNet(transformer_depth=(1, 0), heads=2, self_conditioning=True, **SMALL),
        ConditionInfo(tokens=8),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_both_halves_are_read(name: str) -> None:
    component, info = NETWORKS[name]
    module = component.build(space=SPACE, condition=info)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        x, other = torch.randn(2, 2, 3, 8, 8, generator=generator)
        condition = Condition(
            tokens_BLD=torch.randn(2, 3, 8, generator=generator) if info.tokens else None,
            concat_BCHW=torch.randn(2, 2, 8, 8, generator=generator) if info.concat else None,
        )
        t_B = torch.tensor([3.0, 500.0])
        outputs = [
            module(torch.cat(halves, 1), t_B, condition) for halves in ((x, other), (x, x), (other, other))
        ]
    assert outputs[0].shape == x.shape
    for output in outputs[1:]:
        assert float((output - outputs[0]).abs().amax((1, 2, 3)).min()) > 1e-3


def test_it_is_trained_and_sampled(tmp_path: Path) -> None:
    """A hybrid loss, a learned variance and an estimate at once; samples are the same alone as in a batch."""
    plugins = load_plugins()
    resolved = config.parse(FILE, name="file", registry=plugins.registry)
    trained = train(resolved, tmp_path / "run", plugins=plugins, device="cpu")
    pipe = diffloom.load(trained.folder, device="cpu")
    assert pipe.backbone.enter.in_channels == 2
    whole = pipe.sample(n=3, seed=4).tensor
    assert bool(whole.isfinite().all())
    alone = pipe.sample(seed=[(4, 1)]).tensor
    torch.testing.assert_close(alone[0], whole[1], rtol=0, atol=1e-5)  # convolutions sum in another order


def test_the_estimate_changes_the_samples() -> None:
    """With the estimate's weights at zero the walk is another one: it is looked at."""
    pipe = diffloom.build(config_of(), device="cpu")
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in pipe.module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        first = pipe.sample(n=1).tensor
        pipe.backbone.enter.weight[:, 1:] = 0
    assert not torch.equal(pipe.sample(n=1).tensor, first)


def test_a_loss_trains_what_reads_the_estimate() -> None:
    pipe = diffloom.build(config_of(), device="cpu")
    with torch.no_grad():
        pipe.backbone.leave.weight.normal_(generator=torch.Generator().manual_seed(0))
    loss = pipe.document.objective.build()
    x0 = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network = lambda x, t: pipe.network(x, t, Condition())  # noqa: E731
    loss(network, x0, process=pipe.process, draws=Draws.of(0, range(8))).mean().backward()
    assert bool(pipe.backbone.enter.weight.grad[:, 1].any())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("backbone.self_conditioning=false",), "objective.self_conditioning: this backbone does not take"),
        (
            ("objective.self_conditioning=false",),
            "backbone.self_conditioning: diffloom/hybrid as configured never",
        ),
    ],
)
def test_one_without_the_other_is_refused(change: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        diffloom.build(config_of(), change, device="cpu")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("bridge", "name"),
    [
        (DiffusersUNet(), "unet"),
        (DiffusersCrossAttentionUNet(), "cross_attention_unet"),
        (OpenAIUNet(), "unet"),
    ],
)
def test_other_programs_have_no_such_networks(bridge: DiffusersUNet, name: str) -> None:
    component, info = NETWORKS[name]
    part: Backbone = component
    with pytest.raises(CheckpointError, match="self_conditioning"):
        bridge.config(Inferred(part, {"space": SPACE, "condition": info}))


def config_of() -> dict[str, object]:
    """The file as a mapping, with nothing to train on."""
    import yaml

    document: dict[str, object] = yaml.safe_load(FILE)
    return {key: value for key, value in document.items() if key not in ("data", "train")}

"""Perturbed-attention guidance. Oracles: diffusers' own network and processors, and the formula written out.

Legend: B batch, C channels, H height, W width, L tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from torch import Tensor, nn

import diffloom
from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.nn import attending, identity_attention, self_attentions
from diffloom.process import Denoised, Epsilon, Level, LinearSchedule, Strength, denoiser
from diffloom_guidance import PerturbedAttention, PerturbedAttentionGuidance

Steer = Callable[..., Callable[[Tensor, Level], Denoised]]
LEVEL = LinearSchedule().build().levels([500])[0]


@pytest.fixture(scope="module")
def peer() -> UNet2DConditionModel:
    """A small network of diffusers', with weights everywhere."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=2,
        out_channels=2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=6,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()


def test_it_is_the_perturbation_of_diffusers(
    peer: UNet2DConditionModel, steered: Steer, tmp_path: Path
) -> None:
    """Their processors perturb the second half of a batch in the middle block; ours swap the kernel for a call."""
    peer.save_pretrained(tmp_path)
    ours = diffloom.load_component(tmp_path, "backbone", device="cpu")
    generator = torch.Generator().manual_seed(1)
    x, tokens = torch.randn(3, 2, 8, 8, generator=generator), torch.randn(3, 5, 6, generator=generator)
    middle = {
        name: PAGIdentitySelfAttnProcessor2_0() if name.startswith("mid") and "attn1" in name else processor
        for name, processor in peer.attn_processors.items()
    }
    before = dict(peer.attn_processors)
    assert sum(isinstance(one, PAGIdentitySelfAttnProcessor2_0) for one in middle.values()) == 1
    peer.set_attn_processor(middle)
    with torch.no_grad():
        plain, perturbed = peer(torch.cat([x, x]), LEVEL.t, torch.cat([tokens, tokens])).sample.chunk(2)
    peer.set_attn_processor(before)
    assert float((plain - perturbed).abs().max()) > 1e-3

    condition = Condition(tokens_BLD=tokens)
    guide = PerturbedAttention(strength=Strength(3.8), layers=["*.middle.*"])
    with torch.no_grad():
        found = steered(guide, denoiser(ours, Epsilon()), condition, condition, backbone=ours)(x, LEVEL)
    torch.testing.assert_close(found.eps_BCHW, plain + 2.8 * (plain - perturbed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("guidance", ["perturbed_attention", {"type": "perturbed_attention", "scale": 1.0}])
def test_scale_1_is_the_plain_model(small_model: Pipeline, guidance: object) -> None:
    plain = small_model.sample(label=3, steps=2, guidance=1.0)
    found = small_model.sample(label=3, steps=2, guidance=guidance)  # type: ignore[arg-type]
    assert torch.equal(found.tensor, plain.tensor)


def test_in_the_pixel_u_net(small_model: Pipeline) -> None:
    """c + (scale − 1)·(c − ĉ), where ĉ is the network with its middle blind; no null condition is looked at."""
    x_t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    condition, t = Condition(class_B=torch.tensor([3, 4])), torch.full((2,), 600.0)
    seen: list[list[int]] = []
    hook = small_model.backbone.register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[2].class_B.tolist())
    )
    found = small_model.denoise(
        x_t, 600, label=[3, 4], guidance={"type": "perturbed_attention", "scale": 3.0}
    )
    hook.remove()
    assert seen == [[3, 4], [3, 4]]
    (level, _) = small_model.schedule.levels([600])
    layers = [layer for name, layer in self_attentions(small_model.backbone).items() if "middle" in name]
    with torch.no_grad():
        plain = small_model.network(x_t, t, condition)
        with attending(layers, identity_attention):
            blind = small_model.network(x_t, t, condition)
    assert float((plain - blind).abs().max()) > 1e-3
    x0, _ = small_model.prediction.x0_eps(plain + 2 * (plain - blind), x_t, level.alpha, level.sigma)
    torch.testing.assert_close(found.x0_BCHW, x0.clamp(-1, 1), rtol=1e-4, atol=1e-5)


def test_nobody_else_s_samples_are_perturbed(small_model: Pipeline) -> None:
    """Threads draw from one pipeline, one of them guided: each what it draws alone, bit for bit."""
    scales = {"guided": {"type": "perturbed_attention", "scale": 3.0, "layers": ["*"]}, "plain": 1.0}

    def draw(which: str) -> Tensor:
        return small_model.sample(label=3, steps=12, guidance=scales[which]).tensor  # type: ignore[arg-type]

    wanted = {which: draw(which) for which in scales}
    with ThreadPoolExecutor(len(scales)) as threads:
        for _ in range(2):
            for which, found in zip(scales, threads.map(draw, scales), strict=True):
                assert torch.equal(found, wanted[which]), which


def test_an_unconditional_sample_can_be_guided(small_model: Pipeline) -> None:
    """It needs no condition: with none given the result differs from the plain one."""
    strong = {"type": "perturbed_attention", "scale": 4.0, "layers": ["*"]}
    plain, found = (small_model.sample(n=1, steps=2, guidance=guidance).tensor for guidance in (1.0, strong))
    assert not torch.equal(plain, found)


def test_layers_that_are_not_there_are_refused_with_those_that_are(small_model: Pipeline) -> None:
    with pytest.raises(
        ValueError, match=r"'\*\.attic\.\*' names no self-attention of this network, which has .*middle"
    ):
        small_model.sample(
            label=3, steps=1, guidance=PerturbedAttentionGuidance(scale=2.0, layers=("*.attic.*",))
        )


def test_a_network_without_self_attention_is_refused(steered: Steer) -> None:
    guide = PerturbedAttention(strength=Strength(2.0), layers=["*"])
    with pytest.raises(ValueError, match="Sequential has none; take another guidance"):
        steered(guide, None, Condition(), Condition(), backbone=nn.Sequential(nn.Conv2d(2, 2, 1)))

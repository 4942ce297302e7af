"""Oracles: diffusers' `BasicTransformerBlock` and `Transformer2DModel` with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.nn import Signal, SpatialTransformer, TransformerBlock

CHANNELS, TOKENS, HEADS = 24, 10, 3


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def awake(module: nn.Module) -> Any:
    """In float64, with weights that are neither 0 nor 1 anywhere, where a layer taken for another would not show."""
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return module.double()


def copy_block(ours: TransformerBlock, theirs: BasicTransformerBlock) -> None:
    """Give theirs our weights."""
    pairs = {
        "norm1": ours.norm1,
        "attn1.to_out.0": ours.attend.out,
        "norm2": ours.norm2,
        "attn2.to_q": ours.read.q,
        "attn2.to_out.0": ours.read.out,
        "norm3": ours.norm3,
        "ff.net.0.proj": ours.feed.expand,
        "ff.net.2": ours.feed.contract,
    }
    for name, layer in pairs.items():
        theirs.get_submodule(name).load_state_dict(layer.state_dict())
    for names, fused in (("qkv", ours.attend.qkv), ("kv", ours.read.kv)):
        attention = "attn1" if names == "qkv" else "attn2"
        for letter, weight in zip(names, fused.weight.chunk(len(names)), strict=True):
            theirs.get_submodule(f"{attention}.to_{letter}").load_state_dict({"weight": weight})


def test_block_equals_diffusers() -> None:
    torch.manual_seed(0)
    ours = awake(TransformerBlock(channels=CHANNELS, token_width=TOKENS, heads=HEADS))
    theirs = BasicTransformerBlock(CHANNELS, HEADS, CHANNELS // HEADS, cross_attention_dim=TOKENS).double()
    copy_block(ours, theirs)
    x, tokens = draw(2, 7, CHANNELS), draw(2, 5, TOKENS)
    out = ours(x, Condition(tokens_BLD=tokens))
    torch.testing.assert_close(out, theirs(x, encoder_hidden_states=tokens), rtol=0, atol=1e-12)


def twins(projection: str, depth: int) -> tuple[SpatialTransformer, Transformer2DModel]:
    """Ours, and theirs with its weights."""
    torch.manual_seed(0)
    ours = awake(
        SpatialTransformer(
            channels=CHANNELS,
            token_width=TOKENS,
            depth=depth,
            heads=HEADS,
            projection=projection,  # type: ignore[arg-type]
            norm_groups=4,
        )
    )
    theirs = Transformer2DModel(
        HEADS,
        CHANNELS // HEADS,
        in_channels=CHANNELS,
        num_layers=depth,
        norm_num_groups=4,
        cross_attention_dim=TOKENS,
        use_linear_projection=projection == "linear",
    ).double()
    for name, layer in (("norm", ours.norm), ("proj_in", ours.enter), ("proj_out", ours.leave)):
        theirs.get_submodule(name).load_state_dict(layer.state_dict())
    for block, their_block in zip(ours.blocks, theirs.transformer_blocks, strict=True):
        copy_block(block, their_block)  # type: ignore[arg-type]
    return ours, theirs


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("projection", "depth"), [("conv", 1), ("conv", 3), ("linear", 2)])
def test_transformer_equals_diffusers(projection: str, depth: int, masked: bool) -> None:
    ours, theirs = twins(projection, depth)
    x, tokens = draw(2, CHANNELS, 3, 5), draw(2, 6, TOKENS)
    mask = torch.tensor([[True] * 6, [True] + [False] * 5]) if masked else None
    expected = theirs(x, encoder_hidden_states=tokens, encoder_attention_mask=mask).sample
    out = ours(x, Signal(condition=Condition(tokens_BLD=tokens, mask_BL=mask)))
    # theirs hides a key by adding −10000 to its score, which leaves it e^−10000 = 0 of the weight
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


def test_gradients_equal_diffusers() -> None:
    ours, theirs = twins("conv", 1)
    x, tokens = draw(2, CHANNELS, 3, 5), draw(2, 6, TOKENS)
    direction = draw(2, CHANNELS, 3, 5)
    found = []
    for call in (
        lambda x, tokens: ours(x, Signal(condition=Condition(tokens_BLD=tokens))),
        lambda x, tokens: theirs(x, encoder_hidden_states=tokens).sample,
    ):
        leaves = x.clone().requires_grad_(), tokens.clone().requires_grad_()
        found.append(torch.autograd.grad((call(*leaves) * direction).sum(), leaves))
    for mine, their in zip(*found, strict=True):
        assert their.abs().max() > 1e-3
        torch.testing.assert_close(mine, their, rtol=0, atol=1e-12)


def test_projections_differ_in_the_shape_of_their_weights_only() -> None:
    ours, _ = twins("conv", 1)
    linear = SpatialTransformer(
        channels=CHANNELS, token_width=TOKENS, heads=HEADS, projection="linear", norm_groups=4
    ).double()
    linear.load_state_dict({name: value.squeeze() for name, value in ours.state_dict().items()})
    x, signal = draw(2, CHANNELS, 4, 4), Signal(condition=Condition(tokens_BLD=draw(2, 6, TOKENS)))
    torch.testing.assert_close(linear(x, signal), ours(x, signal), rtol=0, atol=1e-12)


@pytest.mark.parametrize("projection", ["conv", "linear"])
def test_channels_last_stays_channels_last(projection: str) -> None:
    ours, _ = twins(projection, 1)
    x, signal = draw(2, CHANNELS, 4, 6), Signal(condition=Condition(tokens_BLD=draw(2, 6, TOKENS)))
    expected = ours(x, signal)
    out = ours.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), signal)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("projection", ["conv", "linear"])
def test_fresh_transformer_is_the_identity(projection: str) -> None:
    x = torch.randn(2, CHANNELS, 4, 4)
    fresh = SpatialTransformer(
        channels=CHANNELS,
        token_width=TOKENS,
        projection=projection,  # type: ignore[arg-type]
        norm_groups=4,
    )
    signal = Signal(condition=Condition(tokens_BLD=torch.randn(2, 6, TOKENS)))
    assert torch.equal(fresh(x, signal), x)

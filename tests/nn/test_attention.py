"""Oracles: the softmax written out in float64, diffusers' `Attention`, and the law that attention has no order."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.nn import SelfAttention, torch_attention


def written_out(q: Tensor, k: Tensor, v: Tensor, *, mask_BNLM: Tensor | None = None) -> Tensor:
    """softmax(q·kᵀ / √D)·v."""
    scores = torch.einsum("bnld,bnmd->bnlm", q, k) / q.shape[-1] ** 0.5
    if mask_BNLM is not None:
        scores = scores.masked_fill(~mask_BNLM, -torch.inf)
    weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return torch.einsum("bnlm,bnmd->bnld", weights, v)


def attention(channels: int = 32, **arguments: object) -> SelfAttention:
    """A self-attention none of whose weights is at its initial value."""
    module = SelfAttention(channels=channels, norm_groups=8, **arguments)  # type: ignore[arg-type]
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.double()


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 2, *[st.integers(1, 9)] * 3),
    masked=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=50)
def test_kernel_is_the_softmax(shape: tuple[int, ...], masked: bool, seed: int) -> None:
    batch, heads, queries, keys, width = shape
    draw = torch.Generator().manual_seed(seed)
    q = torch.randn(batch, heads, queries, width, generator=draw, dtype=torch.float64)
    k, v = torch.randn(2, batch, heads, keys, width, generator=draw, dtype=torch.float64)
    mask = torch.rand(batch, 1, 1, keys, generator=draw) < 0.5
    mask[..., 0] = True  # a query with nothing to look at has no softmax
    chosen = mask if masked else None
    out = torch_attention(q, k, v, mask_BNLM=chosen)
    torch.testing.assert_close(out, written_out(q, k, v, mask_BNLM=chosen), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("said", "width"), [({}, 32), ({"head_channels": 8}, 8), ({"head_channels": 16}, 16), ({"heads": 8}, 4)]
)
def test_equals_diffusers(said: dict[str, int], width: int) -> None:
    torch.manual_seed(0)
    ours = attention(**said)
    theirs = Attention(
        32,
        heads=32 // width,
        dim_head=width,
        eps=1e-6,
        norm_num_groups=8,
        residual_connection=True,
        bias=True,
        _from_deprecated_attn_block=True,
    ).double()
    theirs.group_norm.load_state_dict(ours.norm.state_dict())
    theirs.to_out[0].load_state_dict(ours.out.state_dict())
    for layer, weight, bias in zip(
        (theirs.to_q, theirs.to_k, theirs.to_v), ours.qkv.weight.chunk(3), ours.qkv.bias.chunk(3), strict=True
    ):
        layer.load_state_dict({"weight": weight, "bias": bias})
    x = torch.randn(2, 32, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


def test_another_kernel_is_another_argument() -> None:
    torch.manual_seed(0)
    ours = attention(head_channels=8)
    calls: list[torch.Size] = []

    def counted(q: Tensor, k: Tensor, v: Tensor, *, mask_BNLM: Tensor | None = None) -> Tensor:
        calls.append(q.shape)
        return written_out(q, k, v, mask_BNLM=mask_BNLM)

    other = attention(head_channels=8, kernel=counted)
    other.load_state_dict(ours.state_dict())
    x = torch.randn(2, 32, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(other(x), ours(x), rtol=0, atol=1e-12)
    assert calls == [(2, 4, 15, 8)]


@given(seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_pixels_have_no_order(seed: int) -> None:
    torch.manual_seed(seed)
    ours = attention(head_channels=16)
    x = torch.randn(2, 32, 3, 4, dtype=torch.float64)
    order = torch.randperm(12)

    def shuffled(picture: Tensor) -> Tensor:
        return picture.flatten(2)[:, :, order].unflatten(2, (3, 4))

    torch.testing.assert_close(ours(shuffled(x)), shuffled(ours(x)), rtol=0, atol=1e-12)


def test_fresh_attention_is_the_identity() -> None:
    x = torch.randn(2, 32, 4, 4)
    assert torch.equal(SelfAttention(channels=32, norm_groups=8)(x), x)


def test_heads_that_do_not_fill_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="32 channels cannot be split into heads of 12"):
        SelfAttention(channels=32, head_channels=12)
    with pytest.raises(ValueError, match="32 channels cannot be split into 3 heads"):
        SelfAttention(channels=32, heads=3)
    with pytest.raises(ValueError, match="heads 4 is a number and head_channels 8 a width"):
        SelfAttention(channels=32, heads=4, head_channels=8)

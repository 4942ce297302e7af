"""Oracles: diffusers' `Attention` with the same weights; the laws that attention has no order and no hidden keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.models.attention_processor import Attention
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.condition import Condition
from diffloom.nn import CrossAttention, SelfAttention, TokenAttention

HEADS = [({}, 1), ({"heads": 4}, 4), ({"head_channels": 6}, 4), ({"head_channels": 24}, 1)]
"""How the heads of 24 channels are told, and how many there are."""


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def cross(**arguments: int) -> CrossAttention:
    return CrossAttention(channels=24, token_width=10, **arguments).double()


@pytest.mark.parametrize(("told", "heads"), HEADS)
def test_attention_to_oneself_equals_diffusers(told: dict[str, int], heads: int) -> None:
    torch.manual_seed(0)
    ours = TokenAttention(channels=24, **told).double()
    theirs = Attention(24, heads=heads, dim_head=24 // heads).double()
    for layer, weight in zip((theirs.to_q, theirs.to_k, theirs.to_v), ours.qkv.weight.chunk(3), strict=True):
        layer.load_state_dict({"weight": weight})
    theirs.to_out[0].load_state_dict(ours.out.state_dict())
    x = draw(2, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("told", "heads"), HEADS)
def test_attention_to_a_condition_equals_diffusers(told: dict[str, int], heads: int, masked: bool) -> None:
    torch.manual_seed(0)
    ours = cross(**told)
    theirs = Attention(24, cross_attention_dim=10, heads=heads, dim_head=24 // heads).double()
    theirs.to_q.load_state_dict(ours.q.state_dict())
    for layer, weight in zip((theirs.to_k, theirs.to_v), ours.kv.weight.chunk(2), strict=True):
        layer.load_state_dict({"weight": weight})
    theirs.to_out[0].load_state_dict(ours.out.state_dict())
    x, tokens = draw(2, 7, 24), draw(2, 5, 10)
    mask = torch.tensor([[True] * 5, [True, False, True, False, False]]) if masked else None
    their_mask = mask[:, None, :].expand(2, 7, 5).repeat_interleave(heads, 0) if masked else None
    expected = theirs(x, encoder_hidden_states=tokens, attention_mask=their_mask)
    out = ours(x, Condition(tokens_BLD=tokens, mask_BL=mask))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


@given(keep=st.lists(st.booleans(), min_size=1, max_size=8).filter(any), seed=st.integers(0, 2**31))
@settings(max_examples=30)
def test_a_masked_token_is_as_good_as_none_and_tokens_have_no_order(keep: list[bool], seed: int) -> None:
    torch.manual_seed(seed)
    ours = cross(heads=3)
    x, tokens, mask = draw(1, 4, 24), draw(1, len(keep), 10), torch.tensor([keep])
    order = torch.randperm(int(mask.sum()))
    out = ours(x, Condition(tokens_BLD=tokens, mask_BL=mask))
    alone = ours(x, Condition(tokens_BLD=tokens[mask][order][None]))
    torch.testing.assert_close(out, alone, rtol=0, atol=1e-12)


def test_what_is_remembered_is_not_projected_again() -> None:
    torch.manual_seed(0)
    ours, another = cross(heads=3), cross(heads=3)
    x, condition = draw(2, 7, 24), Condition(tokens_BLD=draw(2, 5, 10))
    expected, others = ours(x, condition), another(x, condition)
    calls: list[str] = []
    for name, module in (("ours", ours), ("another", another)):
        module.kv.register_forward_hook(lambda *_, name=name: calls.append(name))
    memory = ours.remember(condition.tokens_BLD)
    assert [tuple(part.shape) for part in memory] == [(2, 3, 5, 8)] * 2
    prepared = replace(condition, memory={ours: memory})
    for _ in range(3):
        assert torch.equal(ours(x, prepared), expected)
    assert calls == ["ours"]
    assert torch.equal(another(x, prepared), others)  # it is not in the memory, so it looks for itself
    assert calls == ["ours", "another"]


def test_gradients_reach_the_tokens_through_a_memory() -> None:
    """A text encoder that is trained with the network is trained through a prepared condition too."""
    torch.manual_seed(0)
    ours, x = cross(heads=3), draw(2, 7, 24)
    tokens = draw(2, 5, 10).requires_grad_()
    bare = Condition(tokens_BLD=tokens)
    gradients = [
        torch.autograd.grad(ours(x, condition).square().sum(), tokens)[0]
        for condition in (bare, replace(bare, memory={ours: ours.remember(tokens)}))
    ]
    assert gradients[0].any()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [TokenAttention, lambda **said: CrossAttention(token_width=3, **said)])
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"heads": 5}, "24 channels cannot be split into 5 heads"),
        ({"head_channels": 5}, "24 channels cannot be split into heads of 5 channels"),
        (
            {"heads": 4, "head_channels": 6},
            "heads 4 is a number and head_channels 6 a width of the same heads",
        ),
    ],
)
def test_heads_that_cannot_be(make: type, said: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(channels=24, **said)


def test_remembered_keys_and_values_lie_as_they_are_read() -> None:
    """Each key after the other of its head, not among those of other heads."""
    for part in cross(heads=3).remember(draw(2, 5, 10)):
        assert part.is_contiguous()


@pytest.mark.parametrize("kind", ["tokens", "pixels", "prepared", "bare"])
def test_nothing_is_copied_between_the_products(kind: str) -> None:
    """Heads are divided and put side by side again by their strides alone; pixels lie as tokens in channels_last."""
    condition = Condition(tokens_BLD=draw(2, 5, 10))
    crossing, of_tokens = cross(heads=3), TokenAttention(channels=24, heads=3).double()
    of_pixels = SelfAttention(channels=24, heads=3, norm_groups=4).double()
    prepared = replace(condition, memory={crossing: crossing.remember(condition.tokens_BLD)})
    x_BLC = draw(2, 64, 24)
    x_BCHW = x_BLC.transpose(1, 2).unflatten(2, (8, 8))
    calls = {
        "tokens": lambda: of_tokens(x_BLC),
        "pixels": lambda: of_pixels(x_BCHW),
        "prepared": lambda: crossing(x_BLC, prepared),
        "bare": lambda: crossing(x_BLC, condition),
    }
    with torch.no_grad(), torch.profiler.profile() as profile:
        calls[kind]()
    assert not {"aten::clone", "aten::contiguous"} & {event.key for event in profile.key_averages()}

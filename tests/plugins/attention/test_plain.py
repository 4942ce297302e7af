"""`math`, whole and in slices. Oracle: the same with all scores at once, to the bit; memory that was counted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffloom_attention import plain
from diffloom_attention.plain import plain_attention


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for the scores of ten queries of two pictures of three heads with 33 keys."""
    row = plain.COPIES * 2 * 3 * 33 * 8
    monkeypatch.setattr(plain, "UNASKED_BYTES", 0)
    monkeypatch.setattr(plain, "available_bytes", lambda device: 2 * 10 * row + 5)


@pytest.fixture
def operands() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, length, 8, generator=draw, dtype=torch.float64) for length in (45, 33, 33)]


MASKS = {
    "none": None,
    "of keys": torch.arange(33)[None, None, None] < 20,
    "of queries and keys": torch.arange(33)[None, None, None] <= torch.arange(45)[None, None, :, None],
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_slices_are_the_whole(
    operands: list[Tensor],
    mask: Tensor | None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With their gradients. Every slice has ten queries, and the last what is left of 45."""
    gradients = []
    sizes: list[int] = []
    own = plain._mixed
    for fixture in (None, "tight"):
        if fixture:
            request.getfixturevalue(fixture)
        asking = [operand.clone().requires_grad_() for operand in operands]
        out = plain_attention(*asking, mask_BNLM=mask)
        gradients.append([out, *torch.autograd.grad(out.square().sum(), asking)])
    for whole, sliced in zip(*gradients, strict=True):
        torch.testing.assert_close(sliced, whole, rtol=0, atol=1e-13)
    monkeypatch.setattr(plain, "_mixed", lambda q, *rest: sizes.append(q.shape[2]) or own(q, *rest))
    with torch.no_grad():
        plain_attention(*operands, mask_BNLM=mask)
    assert sizes == [10, 10, 10, 10, 5]


@pytest.mark.usefixtures("tight")
def test_gradients_hold_the_scores_of_one_slice(operands: list[Tensor]) -> None:
    """What autograd keeps of the way there are the operands: no score."""
    kept: list[int] = []
    asking = [operand.requires_grad_() for operand in operands]
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        plain_attention(*asking)
    assert kept
    assert max(kept) <= max(operand.numel() for operand in operands) < 2 * 3 * 45 * 33


def test_memory_is_asked_for_where_scores_are_many_alone(
    operands: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(plain, "available_bytes", asked.append)
    plain_attention(*operands)
    assert not asked
    monkeypatch.setattr(plain, "UNASKED_BYTES", 0)
    plain_attention(*operands)
    assert asked == [operands[0].device]


def test_one_query_at_a_time_where_not_even_two_fit(
    operands: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plain_attention(*operands)
    monkeypatch.setattr(plain, "UNASKED_BYTES", 0)
    monkeypatch.setattr(plain, "available_bytes", lambda device: 1)
    torch.testing.assert_close(plain_attention(*operands), whole, rtol=0, atol=1e-14)

"""Keys that are filled up. Oracles: the softmax written out in float64; torch's kernel, and its gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffloom.nn import torch_attention
from diffloom_attention.padded import VECTOR, padded_attention


def operands(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """q, k and v of B, N, L, M and D."""
    batch, heads, queries, keys, width = shape
    draw = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, heads, length, width, generator=draw, dtype=torch.float64).to(dtype)
        for length in (queries, keys, keys)
    ]


@given(
    shape=st.tuples(
        st.integers(1, 3), st.integers(1, 3), st.integers(1, 20), st.integers(1, 50), st.integers(1, 9)
    ),
    one=st.sets(st.sampled_from(range(4))) | st.none(),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=80)
def test_what_is_filled_up_is_the_softmax_and_its_gradients(
    shape: tuple[int, ...], one: set[int] | None, seed: int
) -> None:
    """In float64 to its rounding; with masks that are `one` along any axes."""
    q, k, v = (operand.requires_grad_() for operand in operands(*shape, seed=seed))
    mask = None
    scores = q @ k.mT / q.shape[3] ** 0.5
    if one is not None:
        sizes = [1 if axis in one else size for axis, size in enumerate(shape[:4])]
        mask = torch.rand(sizes, generator=torch.Generator().manual_seed(seed)) < 0.5
        mask[..., 0] = True
        scores = scores.masked_fill(~mask, -torch.inf)
    out, wanted = padded_attention(q, k, v, mask_BNLM=mask), scores.softmax(3) @ v
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-13)
    grad = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    for found, gradient in zip(
        torch.autograd.grad(out, (q, k, v), grad), torch.autograd.grad(wanted, (q, k, v), grad), strict=True
    ):
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_is_as_exact_as_torchs_kernel(dtype: torch.dtype) -> None:
    """The error's root mean square is at most 1.1 times that of torch's kernel, which sums in the same order."""
    q, k, v = operands(2, 4, 100, 77, 40, dtype=dtype)
    wanted = padded_attention(q.double(), k.double(), v.double())
    own, theirs = (
        float((kernel(q, k, v) - wanted).square().mean().sqrt())
        for kernel in (padded_attention, torch_attention)
    )
    assert 0 < own <= 1.1 * theirs


def test_a_picture_alone_is_bit_for_bit_that_of_a_batch() -> None:
    q, k, v = operands(3, 4, 100, 77, 8, dtype=torch.float32)
    together = padded_attention(q, k, v)
    for row in range(3):
        one = slice(row, row + 1)
        assert torch.equal(padded_attention(q[one], k[one], v[one]), together[one])


def test_torchs_kernel_is_given_whole_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a mask of no more rows than it was given, since its numbers are memory."""
    given: list[tuple[torch.Size, ...]] = []

    def watched(q: Tensor, k: Tensor, v: Tensor, *, mask_BNLM: Tensor) -> Tensor:
        given.append((k.shape, v.shape, mask_BNLM.shape))
        return torch_attention(q, k, v, mask_BNLM=mask_BNLM)

    monkeypatch.setattr("diffloom_attention.padded.torch_attention", watched)
    q, k, v = operands(2, 3, 5, 77, 4)
    for mask in (None, torch.ones(2, 1, 1, 77, dtype=torch.bool), torch.ones(1, 1, 5, 1, dtype=torch.bool)):
        padded_attention(q, k, v, mask_BNLM=mask)
    assert {sizes[:2] for sizes in given} == {((2, 3, 80, 4),) * 2}
    assert [sizes[2] for sizes in given] == [(1, 1, 1, 80), (2, 1, 1, 80), (1, 1, 5, 80)]
    assert 80 % VECTOR == 0

"""Changes are exact both ways. Oracles: the round trip itself, and each change's formula by index.

Legend: C channels, N heads, D head width.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from diffloom.bridge import SAME, Chain, Change, HeadOrder, Pointwise, Rows

small = st.integers(1, 4)
dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])


def counted(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor whose numbers all differ, as they must for a lost one to show."""
    return torch.arange(1, 1 + torch.Size(shape).numel()).reshape(shape).to(dtype)


def returns(change: Change, theirs: list[Tensor]) -> Tensor:
    """Ours, after checking that theirs come back from it: the same bits, shapes and type."""
    ours = change.read(theirs)
    back = change.write(ours)
    assert len(back) == len(theirs)
    for given_, returned in zip(theirs, back, strict=True):
        assert returned.dtype == given_.dtype
        assert torch.equal(returned, given_)
    assert torch.equal(change.read(back), ours)
    return ours


@given(rows=small, columns=small, dimensions=st.integers(1, 3), dtype=dtypes)
def test_pointwise(rows: int, columns: int, dimensions: int, dtype: torch.dtype) -> None:
    theirs = counted(rows, columns, *[1] * dimensions, dtype=dtype)
    ours = returns(Pointwise(dimensions), [theirs])
    assert ours.tolist() == theirs.flatten(1).tolist()


def test_a_pointwise_convolution_is_the_linear_layer() -> None:
    weight, x_BCHW = counted(3, 5, 1, 1), counted(2, 5, 4, 4)
    convolved = functional.conv2d(x_BCHW, weight)
    linear = functional.linear(x_BCHW.movedim(1, -1), Pointwise().read([weight])).movedim(-1, 1)
    assert torch.equal(linear, convolved)  # whole numbers below 2²⁴, which float32 adds exactly


def test_a_convolution_of_more_than_a_pixel_is_none() -> None:
    with pytest.raises(RuntimeError, match="invalid for input"):
        Pointwise().read([counted(2, 2, 3, 3)])


@given(heads=small, width=small, columns=st.sampled_from([(), (1,), (3,), (3, 1)]), dtype=dtypes)
def test_head_order(heads: int, width: int, columns: tuple[int, ...], dtype: torch.dtype) -> None:
    theirs = counted(heads * 3 * width, *columns, dtype=dtype)
    ours = returns(HeadOrder(heads), [theirs])
    for head in range(heads):
        for part in range(3):
            for row in range(width):
                here, there = (part * heads + head) * width + row, (head * 3 + part) * width + row
                assert torch.equal(ours[here], theirs[there])


@given(count=small, rows=small, columns=small, dtype=dtypes)
def test_rows(count: int, rows: int, columns: int, dtype: torch.dtype) -> None:
    theirs = [counted(rows, columns, dtype=dtype) + index * rows * columns for index in range(count)]
    assert torch.equal(returns(Rows(count), theirs), torch.cat(theirs))


@given(heads=small, width=small, columns=small, dtype=dtypes)
def test_a_chain_of_one_tensor(heads: int, width: int, columns: int, dtype: torch.dtype) -> None:
    """guided-diffusion's projection: a convolution, and head by head."""
    theirs = counted(heads * 3 * width, columns, 1, dtype=dtype)
    ours = returns(Chain(Pointwise(1), HeadOrder(heads)), [theirs])
    assert torch.equal(ours, HeadOrder(heads).read([theirs[:, :, 0]]))


@given(count=small, rows=small, columns=small)
def test_a_chain_of_several_tensors(count: int, rows: int, columns: int) -> None:
    """Queries, keys and values by three convolutions."""
    theirs = [counted(rows, columns, 1, 1) * (index + 1) for index in range(count)]
    ours = returns(Chain(Pointwise(), Rows(count)), theirs)
    assert torch.equal(ours, torch.cat([tensor[:, :, 0, 0] for tensor in theirs]))


@given(heads=small, width=small)
def test_chains_of_chains(heads: int, width: int) -> None:
    theirs = counted(heads * 3 * width, width, 1)
    nested = Chain(Chain(SAME, Pointwise(1)), Chain(HeadOrder(heads), SAME))
    assert torch.equal(returns(nested, [theirs]), Chain(Pointwise(1), HeadOrder(heads)).read([theirs]))


def test_their_shapes_are_known_without_numbers() -> None:
    """As `fill` asks before it reads anything."""
    ours = torch.empty(24, 8, device="meta")
    assert [tuple(t.shape) for t in Chain(Pointwise(1), HeadOrder(2)).write(ours)] == [(24, 8, 1)]
    assert [tuple(t.shape) for t in Chain(Pointwise(), Rows(3)).write(ours)] == [(8, 8, 1, 1)] * 3

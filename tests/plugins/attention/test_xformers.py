"""`xformers` without a GPU. Oracle: the softmax, behind the rules that xformers documents for its operands.

The rules are those of `memory_efficient_attention` and of its CUTLASS kernel in version 0.0.35: operands (B, L, N, D)
of one type whose last axis is dense, D and the strides a multiple of what 16 bytes hold in half precision; a bias of
the whole shape, of the queries' type, its rows dense and starting at multiples of 16 bytes.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from diffloom.errors import DiffloomError
from diffloom.nn import torch_attention
from diffloom.testing import check_component
from diffloom_attention import XFormers
from diffloom_attention.memory_efficient import xformers_attention

HALVES = (torch.bfloat16, torch.float16)


class Library:
    """xformers, as it documents itself."""

    def __init__(self) -> None:
        self.computed = 0
        self.places: list[int] = []
        """Where the operands lay that were computed last."""

    def memory_efficient_attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_bias: Tensor | None = None
    ) -> Tensor:
        batch, queries, heads, width = query.shape
        keys = key.shape[1]
        if key.shape != value.shape or key.shape != (batch, keys, heads, width):
            raise ValueError("Incompatible shapes for attention inputs")
        reasons = []
        if query.dtype not in (torch.float32, *HALVES):
            reasons.append(
                f"dtype={query.dtype} (supported: {{torch.float32, torch.bfloat16, torch.float16}})"
            )
        for operand in (query, key, value):
            if operand.stride(3) != 1:
                reasons.append("query.stride(-1) > 1")
            if query.dtype in HALVES and (width % 8 or operand.stride(2) % 8):
                reasons.append("query.shape[-1] % 8 != 0")
        if attn_bias is not None:
            if attn_bias.shape != (batch, heads, queries, keys) or attn_bias.dtype != query.dtype:
                raise ValueError("Invalid shape for attention bias")
            if any(stride % (16 // query.element_size()) for stride in attn_bias.stride()[:-1]):
                reasons.append("attn_bias.stride(-2) % 8 != 0")
            if attn_bias.stride(3) > 1:
                reasons.append("attn_bias.stride(-1) > 1")
        if reasons:
            raise NotImplementedError(
                "No operator found for `memory_efficient_attention_forward` with inputs:\n"
                f"     query       : shape={tuple(query.shape)} ({query.dtype})\n"
                "`cutlassF-pt` is not supported because:\n    " + "\n    ".join(reasons)
            )
        self.computed += 1
        self.places = [operand.data_ptr() for operand in (query, key, value)]
        q, k, v = (operand.transpose(1, 2).double() for operand in (query, key, value))
        scores = q @ k.mT / width**0.5 + (0 if attn_bias is None else attn_bias.double())
        return (scores.softmax(3) @ v).to(query.dtype).transpose(1, 2).contiguous()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """xformers is installed."""
    own, package, module = Library(), ModuleType("xformers"), ModuleType("xformers.ops")
    module.memory_efficient_attention = own.memory_efficient_attention  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", module)
    xformers_attention.cache_clear()
    return own


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """No kernel of another test's library is kept."""
    xformers_attention.cache_clear()


def operands(width: int, *, dtype: torch.dtype) -> list[Tensor]:
    """q, k and v as a projection gives them: parts of one tensor."""
    draw = torch.Generator().manual_seed(0)
    return list(torch.randn(2, 21, 3, 3, width, generator=draw).to(dtype).permute(2, 0, 3, 1, 4))


def drawn_mask(*sizes: int) -> Tensor:
    """Half of it true, and every row's first."""
    mask = torch.rand(sizes, generator=torch.Generator().manual_seed(1)) < 0.5
    return mask | (torch.arange(sizes[3]) == 0)


MASKS = {
    "none": None,
    "of keys": drawn_mask(2, 1, 1, 21),
    "of everything": drawn_mask(2, 3, 21, 21),
    "of one number": drawn_mask(1, 1, 1, 1),
}


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_operands_and_masks_are_as_xformers_wants_them(
    library: Library, mask: Tensor | None, dtype: torch.dtype
) -> None:
    """21 keys are no multiple of 8, and the mask is smaller than the scores."""
    q, k, v = operands(8, dtype=dtype)
    out = XFormers().build()(q, k, v, mask_BNLM=mask)
    wanted = torch_attention(q.double(), k.double(), v.double(), mask_BNLM=mask)
    torch.testing.assert_close(out.double(), wanted, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.02)
    assert library.computed == 1
    assert out.transpose(1, 2).is_contiguous()


def test_operands_are_copied_only_where_their_last_axis_is_not_dense(library: Library) -> None:
    q, k, v = operands(8, dtype=torch.float32)
    kernel = XFormers().build()
    wanted = kernel(q, k, v)
    assert library.places == [x.data_ptr() for x in (q, k, v)]
    transposed = [x.mT.contiguous().mT for x in (q, k, v)]
    assert torch.equal(kernel(*transposed), wanted)
    assert not set(library.places) & {x.data_ptr() for x in transposed}


@pytest.mark.parametrize(
    ("width", "dtype", "words"),
    [
        (
            8,
            torch.float64,
            "heads of width 8 in float64 on cpu; torch's does these (`cutlassF-pt` is not supported",
        ),
        (12, torch.float16, "heads of width 12 in float16 on cpu; torch's does these"),
    ],
)
def test_what_xformers_cannot_compute_torch_does_and_says_so_once(
    library: Library, width: int, dtype: torch.dtype, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = XFormers().build()
    q, k, v = operands(width, dtype=dtype)
    with caplog.at_level(logging.WARNING, "diffloom"):
        for _ in range(3):
            assert torch.equal(kernel(q, k, v), torch_attention(q, k, v))
        kernel(*operands(8, dtype=torch.float32))
    assert library.computed == 1
    (record,) = caplog.records
    assert words in record.message


def test_the_laws_with_the_library(library: Library) -> None:
    """Whatever xformers refuses, torch computes: all of them hold."""
    assert check_component(XFormers) == []
    assert library.computed > 0


def test_without_the_library_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    with pytest.raises(DiffloomError, match=r"pip install 'diffloom\[xformers\]'"):
        XFormers().build()

"""The laws of attention, on right kernels and on mistakes made in them. Legend: q, k, v of (B, N, L or M, D)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from diffloom.errors import DiffloomError
from diffloom.kinds import Attention


class Kernel:
    """The softmax, right or with one mistake."""

    def __init__(self, mistake: str) -> None:
        self.mistake = mistake
        self.lock = threading.Lock() if mistake == "cannot be copied" else None
        self.calls = 0

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, mask_BNLM: Tensor | None = None) -> Tensor:
        bug, dtype, width = self.mistake, q.dtype, q.shape[3]
        self.calls += 1
        if bug == "scales in place" and not q.requires_grad:
            q *= 2
            q /= 2.0000005
        if bug == "forgets the layout":
            k = k.as_strided(k.shape, torch.empty(k.shape, device="meta").stride(), k.storage_offset())
        q, k, v = (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x for x in (q, k, v))
        if bug == "in bfloat16":
            q = q + (q.to(torch.bfloat16) - q).detach()
        if bug == "no gradient for keys":
            k = k.detach()
        scale = {"not scaled": 1.0, "scaled by the width": 1 / width}.get(bug, width**-0.5)
        scores = q @ k.mT * scale
        if mask_BNLM is not None and bug != "no mask":
            mask = ~mask_BNLM if bug == "mask turned" else mask_BNLM
            mask = mask[:1] if bug == "the first picture's mask" else mask
            mask = mask[:, :, :1] if bug == "the first query's mask" else mask
            scores = scores.masked_fill(~mask, -torch.inf)
        if bug == "no maximum":
            weights = scores.exp() / scores.exp().sum(3, keepdim=True)
        elif bug == "softmax of queries":
            weights = scores.softmax(2)
        else:
            weights = scores.softmax(3)
        if bug == "looks at its neighbours" and len(weights) > 1:
            weights = (weights + 1e-3 * weights.roll(1, 0)) / 1.001
        if bug == "another each time":
            weights = weights * (1 + 1e-4 * self.calls)
        out = weights @ v
        return out if bug == "in float32" else out.to(dtype)


class Written(Attention):
    """Two products and a softmax; right or with one mistake."""

    name = "written"

    mistake: str = ""
    """Which."""

    def build(self) -> Any:
        if self.mistake == "says nothing":
            raise DiffloomError("no")
        return Kernel(self.mistake)


def test_a_right_kernel_passes(passes: Callable[..., None]) -> None:
    passes(Written)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [
        ("not scaled", "is_the_softmax"),
        ("scaled by the width", "is_the_softmax"),
        ("softmax of queries", "is_the_softmax"),
        ("in bfloat16", "is_the_softmax"),
        ("in float32", "is_the_softmax"),
        ("no mask", "looks_where_the_mask_is_true"),
        ("mask turned", "looks_where_the_mask_is_true"),
        ("the first picture's mask", "looks_where_the_mask_is_true"),
        ("the first query's mask", "looks_where_the_mask_is_true"),
        ("no maximum", "takes_large_scores"),
        ("looks at its neighbours", "keeps_pictures_apart"),
        ("scales in place", "leaves_its_operands_alone"),
        ("another each time", "leaves_its_operands_alone"),
        ("forgets the layout", "takes_any_layout"),
        ("says nothing", "says_what_is_missing"),
    ],
)
def test_a_mistake_in_a_kernel_is_caught(caught: Callable[..., None], mistake: str, check: str) -> None:
    caught(check, Written, mistake=mistake)


@pytest.mark.parametrize(
    ("mistake", "check"),
    [("no gradient for keys", "has_the_gradients"), ("cannot be copied", "can_be_copied")],
)
def test_what_torch_or_python_refuses_is_caught(
    check_component: Callable[..., Any], mistake: str, check: str
) -> None:
    """Here the finding is what was raised: that a tensor was not used, that a lock cannot be copied."""
    assert [failure.check for failure in check_component(Written, mistake=mistake)] == [check]

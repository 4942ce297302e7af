"""Laws of the kind `attention`. Legend: B batch, N heads, L queries, M keys, D head width."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from diffloom.errors import DiffloomError
from diffloom.kinds import Attention
from diffloom.nn import AttentionKernel
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.closed_forms import normal

SHAPES = (
    (2, 3, 5, 7, 1),
    (1, 2, 16, 16, 3),
    (2, 4, 128, 128, 8),
    (3, 2, 257, 77, 16),
    (2, 3, 100, 200, 40),
    (1, 1, 4, 1, 64),
    (2, 1, 3, 33, 160),
)
"""B, N, L, M and D: odd and even, more queries than keys and fewer, small and too large for one piece."""
ROUNDING = {torch.float64: 1e-12, torch.float32: 5e-6, torch.bfloat16: 0.02, torch.float16: 0.003}
"""What weights and sums may be off by, of values of about 1: some 50 units of the type's last place, and 5 of the
halves', where nothing is added up in them.
"""


def is_the_softmax(component: Attention) -> None:
    """softmax(q·kᵀ / √D)·v to the rounding of the operands' type, in which the result is, for heads of any width."""
    for kernel in _kernels(component):
        for dtype, within in ROUNDING.items():
            for shape in SHAPES:
                q, k, v = _operands(shape, dtype)
                with torch.no_grad():
                    came = kernel(q, k, v)
                expect(came.dtype == dtype, f"a result in {dtype}, as the queries are", came.dtype)
                expect_close(
                    came, closed_form(q, k, v), within=within, what=f"attention in {dtype} of {shape}"
                )


def looks_where_the_mask_is_true(component: Attention) -> None:
    """Keys are looked at where the mask is true alone, whatever axes it is broadcast over."""
    for kernel in _kernels(component):
        for shape in SHAPES[1:4]:
            batch, heads, queries, keys, _ = shape
            q, k, v = _operands(shape, torch.float32)
            for sizes in (
                (batch, 1, 1, keys),
                (1, heads, queries, keys),
                (batch, heads, queries, keys),
                (1,) * 4,
            ):
                mask = normal(sizes, seed=4) > 0
                mask[..., 0] = True  # who may look at nothing has no softmax
                with torch.no_grad():
                    came = kernel(q, k, v, mask_BNLM=mask)
                wanted = closed_form(q, k, v, mask)
                expect_close(came, wanted, within=5e-6, what=f"attention of {shape} with a mask of {sizes}")


def has_the_gradients(component: Attention) -> None:
    """Queries, keys and values get the closed form's gradients, each of them where it asks alone too."""
    for kernel in _kernels(component):
        for shape in (SHAPES[0], SHAPES[3]):
            towards = normal((*shape[:3], shape[4]), seed=3)
            wanted = _gradients(closed_form, _operands(shape, torch.float64), towards, range(3))
            for which in ((0, 1, 2), (0,), (1,), (2,)):
                came = _gradients(kernel, _operands(shape, torch.float64), towards, which)
                for index, gradient in came.items():
                    name = ("queries", "keys", "values")[index]
                    expect_close(gradient, wanted[index], within=1e-11, what=f"the gradient of the {name}")


def takes_large_scores(component: Attention) -> None:
    """Scores whose exponentials no type can hold still give weights that add up to 1."""
    for kernel in _kernels(component):
        for shape in SHAPES[2:5]:
            for factor in (8.0, 1000.0):
                q, k, v = _operands(shape, torch.float32)
                q *= factor
                with torch.no_grad():
                    came = kernel(q, k, v)
                # A score s is only as exact as s·2⁻²⁴, and its exponential is off by as much.
                within = 1e-5 * factor
                expect_close(came, closed_form(q, k, v), within=within, what="attention with large scores")
                expect(
                    bool(came.abs().max() <= v.abs().max() * 1.0001), "no value beyond the largest", "more"
                )


def keeps_pictures_apart(component: Attention) -> None:
    """A picture's result is the same alone, in a batch, and whatever else the batch holds."""
    for kernel in _kernels(component):
        for shape in (SHAPES[2], SHAPES[3]):
            q, k, v = _operands(shape, torch.float32)
            with torch.no_grad():
                together = kernel(q, k, v)
                alone = kernel(q[-1:], k[-1:], v[-1:])
                k[:-1], v[:-1] = torch.inf, torch.nan
                beside = kernel(q, k, v)[-1:]
            expect_close(alone, together[-1:], within=5e-6, what="a picture alone as in its batch")
            expect_close(beside, together[-1:], within=5e-6, what="a picture as beside others")


def leaves_its_operands_alone(component: Attention) -> None:
    """Operands and mask are as they were, and the same result comes out again."""
    for kernel in _kernels(component):
        for shape in SHAPES[:4]:
            operands = [*_operands(shape, torch.float32), normal((1, 1, 1, shape[3]), seed=4) < 5]
            before = [operand.clone() for operand in operands]
            with torch.no_grad():
                first, again = (kernel(*operands[:3], mask_BNLM=operands[3]) for _ in range(2))
            for name, operand, was in zip(
                ("queries", "keys", "values", "mask"), operands, before, strict=True
            ):
                expect(torch.equal(operand, was), f"the {name} as they were", "changed in place")
            expect(torch.equal(first, again), "the same result again", "another")


def takes_any_layout(component: Attention) -> None:
    """Operands may be parts of a larger tensor, transposed, or one picture's for all."""
    for kernel in _kernels(component):
        for shape in SHAPES[1:4]:
            q, k, v = _operands(shape, torch.float32)
            layouts: dict[str, Callable[[Tensor], Tensor]] = {
                "parts of a projection": lambda x: (
                    torch.stack([x, -x], 2).transpose(1, 3)[:, :, 0].transpose(1, 2)
                ),
                "transposed": lambda x: x.mT.contiguous().mT,
                "every second": lambda x: torch.stack([x, -x], 4).flatten(3)[..., ::2],
            }
            wanted = closed_form(q, k, v)
            for name, layout in layouts.items():
                laid = [layout(x) for x in (q, k, v)]
                expect(all(torch.equal(*pair) for pair in zip(laid, (q, k, v), strict=True)), "equal", name)
                with torch.no_grad():
                    came = kernel(*laid)
                expect_close(came, wanted, within=5e-6, what=f"attention to operands that are {name}")
            one = (k[:1].expand_as(k), v[:1].expand_as(v))
            with torch.no_grad():
                came = kernel(q, *one)
            expect_close(
                came, closed_form(q, *one), within=5e-6, what="attention to one picture's keys for all"
            )


def can_be_copied(component: Attention) -> None:
    """A copy of a network copies the kernel with it: it computes the same."""
    for kernel in _kernels(component):
        operands = _operands(SHAPES[2], torch.float32)
        with torch.no_grad():
            came, wanted = copy.deepcopy(kernel)(*operands), kernel(*operands)
        expect(torch.equal(came, wanted), "a copy that computes the same", "another result")


def says_what_is_missing(component: Attention) -> None:
    """It can be built; or a DiffloomError names the command that brings what is missing."""
    try:
        component.build()
    except DiffloomError as error:
        expect("install" in str(error), "the command that installs what is missing", str(error))


def closed_form(q_BNLD: Tensor, k_BNMD: Tensor, v_BNMD: Tensor, mask_BNLM: Tensor | None = None) -> Tensor:
    """The softmax written out in float64 (Vaswani et al. 2017, eq. 1)."""
    q, k, v = (operand.double() for operand in (q_BNLD, k_BNMD, v_BNMD))
    scores = torch.einsum("bnld,bnmd->bnlm", q, k) / q.shape[3] ** 0.5
    if mask_BNLM is not None:
        scores = scores.masked_fill(~mask_BNLM, -torch.inf)
    weights = (scores - scores.amax(3, keepdim=True)).exp()
    return torch.einsum("bnlm,bnmd->bnld", weights / weights.sum(3, keepdim=True), v)


def _kernels(component: Attention) -> Iterator[AttentionKernel]:
    """The kernel; none where something is missing that it says how to install."""
    try:
        kernel = component.build()
    except DiffloomError:  # judged by `says_what_is_missing`
        return
    yield kernel


def _operands(shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    batch, heads, queries, keys, width = shape
    lengths = (queries, keys, keys)
    return [normal((batch, heads, length, width), seed=seed).to(dtype) for seed, length in enumerate(lengths)]


def _gradients(
    kernel: AttentionKernel, operands: list[Tensor], towards: Tensor, which: Sequence[int]
) -> dict[int, Tensor]:
    asking = [operands[index].requires_grad_() for index in which]
    found = torch.autograd.grad((kernel(*operands) * towards).sum(), asking)
    return dict(zip(which, found, strict=True))


CHECKS: tuple[Check, ...] = (
    says_what_is_missing,
    is_the_softmax,
    looks_where_the_mask_is_true,
    has_the_gradients,
    takes_large_scores,
    keeps_pictures_apart,
    leaves_its_operands_alone,
    takes_any_layout,
    can_be_copied,
)

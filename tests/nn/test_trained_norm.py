"""Oracle: torch's group norm and activation one after the other, and their gradients, in float64."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

from diffloom.nn.trained_norm import ActivatedNorm, activated

EPS = 1e-6


def ours(x_BCHW: Tensor, weight_C: Tensor, bias_C: Tensor, norm: nn.GroupNorm) -> Tensor:
    out_BCHW: Tensor = ActivatedNorm.apply(x_BCHW, weight_C, bias_C, norm)  # type: ignore[no-untyped-call]
    return out_BCHW


def plain(x_BCHW: Tensor, weight_C: Tensor, bias_C: Tensor, norm: nn.GroupNorm) -> Tensor:
    return functional.silu(functional.group_norm(x_BCHW, norm.num_groups, weight_C, bias_C, norm.eps))


def leaves(
    shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format, seed: int = 0
) -> list[Tensor]:
    """A picture about 3, a weight and a bias, that all want gradients."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (shape, (shape[1],), (shape[1],))
    x, weight, bias = (torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes)
    found = [(3 + x).to(memory_format=layout), weight, bias]
    return [tensor.to(dtype).requires_grad_() for tensor in found]


def grown(way, tensors: list[Tensor], norm: nn.GroupNorm) -> list[Tensor]:
    """The output, and the gradients of an uneven sum of it."""
    out = way(*tensors, norm)
    slope = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [out.detach(), *torch.autograd.grad(out, tensors, slope.to(out.dtype))]


@given(
    groups=st.integers(1, 3),
    width=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 5)),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=25)
def test_the_same_and_the_same_gradients(
    *, groups: int, width: int, sizes: tuple[int, int, int], layout: torch.memory_format, seed: int
) -> None:
    """Two numbers of a group may lie close: their deviation, down to EPS, divides what float64 rounds."""
    batch, height, breadth = sizes
    norm = nn.GroupNorm(groups, groups * width, eps=EPS)
    tensors = leaves((batch, groups * width, height, breadth), torch.float64, layout, seed)
    for one, other in zip(*(grown(way, tensors, norm) for way in (ours, plain)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_float32_is_as_near_to_the_truth_as_torch() -> None:
    """Half as far again at most: one product and one sum are rounded anew."""
    norm = nn.GroupNorm(4, 32, eps=EPS)
    exact = leaves((4, 32, 16, 16), torch.float64, torch.channels_last)
    tensors = [tensor.detach().float().requires_grad_() for tensor in exact]
    truth = grown(plain, exact, norm)
    errors = [
        [float((a - b).abs().max()) for a, b in zip(grown(way, tensors, norm), truth, strict=True)]
        for way in (ours, plain)
    ]
    for own, torchs in zip(*errors, strict=True):
        assert own <= 1.5 * torchs


def test_gradients_of_gradients() -> None:
    """Against finite differences."""
    norm = nn.GroupNorm(2, 4, eps=EPS)
    tensors = leaves((2, 4, 2, 3), torch.float64, torch.contiguous_format)
    assert torch.autograd.gradcheck(lambda *given: ours(*given, norm), tensors)
    assert torch.autograd.gradgradcheck(lambda *given: ours(*given, norm), tensors)


def test_derivatives_forward_are_torch_s_own() -> None:
    """How the sum changes with the picture, to first order: its gradient times the change."""
    norm, x = nn.GroupNorm(2, 4), leaves((2, 4, 2, 3), torch.float32, torch.contiguous_format)[0]
    change = torch.linspace(-1, 1, x.numel()).view_as(x)
    (slope,) = torch.autograd.grad(activated(x, norm).sum(), x)
    with forward_ad.dual_level():
        out = forward_ad.unpack_dual(activated(forward_ad.make_dual(x, change), norm).sum())
    torch.testing.assert_close(out.tangent, (slope * change).sum(), rtol=1e-4, atol=1e-5)


def test_only_weights_learn() -> None:
    """torch's own norm ends the process here, where pixels lie one by one."""
    norm = nn.GroupNorm(2, 4)
    x = torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last)
    activated(x, norm).square().sum().backward()
    found = norm.weight.grad
    norm.zero_grad()
    plain(x.contiguous(), norm.weight, norm.bias, norm).square().sum().backward()
    assert found is not None
    torch.testing.assert_close(found, norm.weight.grad)


def test_what_lies_between_is_not_kept() -> None:
    """One picture for the way back, where torch keeps two beside the one that is handed on."""
    norm, x = nn.GroupNorm(4, 32), torch.randn(2, 32, 8, 8, requires_grad=True)
    sizes = []
    for way in (activated, lambda x, norm: functional.silu(norm(x))):
        kept: set[int] = set()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, k=kept: k.add(t.data_ptr()) or t, lambda t: t
        ):
            way(x, norm)
        sizes.append(len(kept))
    weights_and_statistics = 2 + 2
    assert sizes[0] == 1 + weights_and_statistics
    assert sizes[1] == 2 + weights_and_statistics - 1  # a norm's gradient does not need its bias


def test_elsewhere_it_is_computed_plainly() -> None:
    """Samples, autocast, frozen weights, no weights, a norm that somebody listens to, a module in its place."""
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    norm = nn.GroupNorm(2, 4)
    assert "ActivatedNorm" in type(activated(x, norm).grad_fn).__name__
    others: list[Any] = [
        nn.Sequential(nn.GroupNorm(2, 4)),
        nn.GroupNorm(2, 4).eval(),
        nn.GroupNorm(2, 4).requires_grad_(False),
        nn.GroupNorm(2, 4, affine=False),
    ]
    for other in others:
        assert "Silu" in type(activated(x, other).grad_fn).__name__
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert "Silu" in type(activated(x, norm).grad_fn).__name__
    with torch.no_grad():
        assert torch.equal(activated(x, norm), functional.silu(norm(x)))
    calls: list[nn.Module] = []
    norm.register_forward_hook(lambda module, *_: calls.append(module))
    activated(x, norm)
    assert calls == [norm]

"""Oracle: torch's convolution and its gradients, in float64; torch's count of operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn import winograd, winograd_taps
from diffloom.nn.trained_conv import Convolution

quick = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bands of a few rows."""
    monkeypatch.setattr(winograd, "CACHED_BYTES", 4000)


def plain(x_BIHW: Tensor, weight_OI33: Tensor, bias_O: Tensor | None) -> Tensor:
    return functional.conv2d(x_BIHW, weight_OI33, bias_O, padding=1)


def ours(*given: Tensor | None) -> Tensor:
    out_BOHW: Tensor = Convolution.apply(*given)  # type: ignore[no-untyped-call]
    return out_BOHW


def given_tensors(
    shape: tuple[int, int, int, int], outer: int, dtype: torch.dtype, *, bias: bool = True, seed: int = 0
) -> list[Tensor | None]:
    """A picture of that shape pixel by pixel, a kernel and a bias, that all want gradients."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (shape, (outer, shape[1], 3, 3), (outer,))
    x, weight, shift = (torch.randn(size, generator=generator, dtype=dtype) for size in sizes)
    x = x.to(memory_format=torch.channels_last)
    return [x.requires_grad_(), weight.requires_grad_(), shift.requires_grad_() if bias else None]


def grown(
    convolution: Callable[..., Tensor], tensors: list[Tensor | None], layout: torch.memory_format
) -> list[Tensor]:
    """The output, and the gradients of an uneven sum of it that arrive in that layout."""
    leaves = [None if tensor is None else tensor.detach().requires_grad_() for tensor in tensors]
    out = convolution(*leaves)
    slope = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    out.backward(slope.to(out.dtype).to(memory_format=layout))
    found = [leaf.grad for leaf in leaves if leaf is not None]
    assert all(grad is not None for grad in found)
    return [out.detach(), *(grad for grad in found if grad is not None)]


@given(
    sides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    batch=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    bias=st.booleans(),
    layout=st.sampled_from(LAYOUTS),
    many=st.booleans(),
    seed=st.integers(0, 2**31),
)
@quick
def test_the_same_and_the_same_gradients(
    monkeypatch: pytest.MonkeyPatch,
    *,
    sides: tuple[int, int],
    batch: int,
    channels: tuple[int, int],
    bias: bool,
    layout: torch.memory_format,
    many: bool,
    seed: int,
) -> None:
    """Sums of at most 200 products of numbers of about 1: float64 leaves 1e-13 of them."""
    monkeypatch.setattr(winograd_taps, "MANY", 0 if many else 10**6)
    shape = (batch, channels[0], 2 * sides[0], 2 * sides[1])
    tensors = given_tensors(shape, channels[1], torch.float64, bias=bias, seed=seed)
    for one, other in zip(grown(ours, tensors, layout), grown(plain, tensors, layout), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_float32_is_about_as_near_to_the_truth_as_torch() -> None:
    """The output and the gradients of input and bias are nearer. The sums that a tap's gradient is made of each round,
    to four times torch's error at most."""
    exact, tensors = (given_tensors((4, 96, 16, 16), 64, dtype) for dtype in (torch.float64, torch.float32))
    tensors = [None if t is None else t.detach().float() for t in exact]
    truth = grown(plain, exact, torch.channels_last)
    errors = [
        [
            float((a - b).abs().max())
            for a, b in zip(grown(way, tensors, torch.channels_last), truth, strict=True)
        ]
        for way in (ours, plain)
    ]
    for own, torchs, most in zip(*errors, (1.5, 1.5, 4.0, 1.5), strict=True):
        assert own < most * torchs


def test_gradients_of_gradients() -> None:
    """Against finite differences."""
    tensors = given_tensors((1, 2, 2, 4), 2, torch.float64)
    assert torch.autograd.gradcheck(ours, tensors)
    assert torch.autograd.gradgradcheck(ours, tensors)


def test_only_what_is_wanted_is_computed() -> None:
    """A kernel that does not learn, and a picture that needs no gradient, as the first layer's."""
    x, weight, bias = given_tensors((2, 3, 4, 4), 2, torch.float64)
    for leaves in (
        [x, weight.detach(), None],
        [x.detach(), weight, None],
        [x.detach(), weight.detach(), bias],
    ):
        wanted = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        for one, other in zip(
            *(torch.autograd.grad(way(*leaves).square().sum(), wanted) for way in (ours, plain)), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_a_step_multiplies_four_ninths() -> None:
    """Forward and for both gradients, beside making the sums of taps twice and going back through them once."""
    (batch, inner, height, width), outer = shape, _ = (2, 6, 8, 8), 4
    tensors = given_tensors(shape, outer, torch.float32)
    counts = []
    for way in (ours, plain):
        with FlopCounterMode(display=False) as counter:
            grown(way, tensors, torch.channels_last)
        counts.append(counter.get_total_flops())
    assert counts[1] == 3 * 2 * 9 * batch * inner * outer * height * width
    assert 9 * (counts[0] - 3 * 2 * 16 * 9 * inner * outer) == 4 * counts[1]


def test_it_keeps_what_torch_keeps() -> None:
    """The picture and the kernel, and nothing of its own."""
    x, weight, bias = given_tensors((2, 4, 8, 8), 4, torch.float32)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr()) or t, lambda t: t):
        ours(x, weight, bias)
    assert sorted(kept) == sorted([x.data_ptr(), weight.data_ptr()])

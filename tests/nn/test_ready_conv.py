"""Oracle: `nn.Conv2d` and what stands around it, computed one after another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from diffloom.nn import ready_conv, winograd
from diffloom.nn.packed_conv import PackedConv2d, packing_fault
from diffloom.nn.ready_conv import PlainConv2d, ReadyConv2d
from diffloom.nn.winograd import WinogradConv2d

quick = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
packs = pytest.mark.skipif(
    packing_fault(torch.float32) is not None, reason="oneDNN's operators are not in this torch"
)


def winograd_conv(conv: nn.Conv2d) -> WinogradConv2d:
    return WinogradConv2d(conv, PlainConv2d)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pixels are convolved so too, and in bands of a few rows."""
    monkeypatch.setattr(winograd, "WORTHWHILE", 0)
    monkeypatch.setattr(winograd, "CACHED_BYTES", 4000)


@st.composite
def around(draw: st.DrawFn) -> dict[str, Any]:
    """A convolution's sizes, and what stands around it."""
    sides = st.integers(1, 7)
    return {
        "channels": (draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        "edge": draw(st.integers(0, 1)),
        "shape": (draw(st.integers(1, 3)), draw(sides), draw(sides)),
        "bias": draw(st.booleans()),
        "silu": draw(st.booleans()),
        "shift": draw(st.sampled_from([None, "one for all", "each"])),
        "plus": draw(st.booleans()),
        "last": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**31)),
    }


def check(form: Callable[[nn.Conv2d], ReadyConv2d], told: dict[str, Any], dtype: torch.dtype) -> float:
    """The largest difference from the plain way."""
    torch.manual_seed(told["seed"])
    (inner, outer), (batch, *size), edge = told["channels"], told["shape"], told["edge"]
    inside = [size[0] + 2 - 2 * edge, size[1]]  # rows that come with their neighbours
    layout = torch.channels_last if told["last"] else torch.contiguous_format
    conv = nn.Conv2d(inner, outer, 3, padding=(edge, 1), bias=told["bias"]).to(dtype)
    x, plus = (
        torch.randn(batch, channels, *pixels, dtype=dtype).to(memory_format=layout)
        for channels, pixels in ((inner, inside), (outer, size))
    )
    rows = {None: 0, "one for all": 1, "each": batch}[told["shift"]]
    shift = torch.randn(rows, outer, dtype=dtype)
    given: dict[str, Any] = {"silu": told["silu"]}
    expected = conv(functional.silu(x) if told["silu"] else x).detach()
    if rows:
        given["shift_BO"] = shift
        expected = expected + shift[:, :, None, None]
    if told["plus"]:
        given["plus_BOHW"] = plus
        expected = expected + plus
    before, weight = plus.clone(), conv.weight.detach().clone()
    with torch.no_grad():
        out = form(conv)(x.clone(), **given)
    assert torch.equal(plus, before)
    assert torch.equal(conv.weight, weight)
    return float((out - expected).abs().max())


@pytest.mark.parametrize("form", [PlainConv2d, winograd_conv])
@given(told=around())
@quick
def test_float64(form: Callable[[nn.Conv2d], ReadyConv2d], told: dict[str, Any]) -> None:
    assert check(form, told, torch.float64) < 1e-12


@pytest.mark.parametrize("form", [pytest.param(PackedConv2d, marks=packs), winograd_conv, ready_conv])
@given(told=around())
@quick
def test_float32(form: Callable[[nn.Conv2d], ReadyConv2d], told: dict[str, Any]) -> None:
    """Some fifty products of numbers of about 1, in another order: some units of 1e-7."""
    assert check(form, told, torch.float32) < 1e-5


@packs
@pytest.mark.skipif(packing_fault(torch.bfloat16) is not None, reason="oneDNN does not compute bf16 here")
@given(told=around())
@quick
def test_bfloat16(told: dict[str, Any]) -> None:
    """Each of the few numbers that are added is known to 1/256 of about 4."""
    assert check(PackedConv2d, told, torch.bfloat16) < 0.15


def test_winograd_is_as_near_to_the_truth_as_direct_convolution() -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(128, 64, 3, padding=1).requires_grad_(False), torch.randn(1, 128, 16, 16)
    truth = functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)  # type: ignore[union-attr]
    with torch.no_grad():
        direct, ours = ((out - truth).abs().max().item() for out in (conv(x), winograd_conv(conv)(x)))
    assert ours < 2 * direct < 1e-5


def test_winograd_multiplies_four_ninths() -> None:
    """Counted in the products of matrices that it calls: 16 multiplications for 4 pixels, where there were 36."""
    conv, x = nn.Conv2d(6, 4, 3, padding=1), torch.randn(2, 6, 8, 8)
    plain = 2 * 9 * 6 * 4 * x[:, 0].numel()
    ready = winograd_conv(conv)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ready(x)  # which makes the sums of taps
        first = counter.get_total_flops()
        ready(x)
    assert 9 * (counter.get_total_flops() - first) == 4 * plain


@pytest.mark.parametrize(
    ("form", "stride"),
    [
        (PlainConv2d, 1),
        (PlainConv2d, 2),
        pytest.param(PackedConv2d, 1, marks=packs),
        pytest.param(PackedConv2d, 2, marks=packs),
        (winograd_conv, 1),
    ],
)
def test_gradients_are_the_convolution_s(form: Callable[[nn.Conv2d], ReadyConv2d], stride: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 4, 3, padding=1, stride=stride).requires_grad_(False)
    ready = form(conv)
    x = torch.randn(2, 5, 6, 6)
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    outs = [conv(functional.silu(leaves[0])), ready(leaves[1], silu=True)]
    torch.testing.assert_close(*outs, rtol=0, atol=1e-6)
    slopes = [
        torch.autograd.grad(out.square().sum(), leaf)[0] for out, leaf in zip(outs, leaves, strict=True)
    ]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-5)
    assert torch.equal(leaves[1], x)


class Sorting(TorchDispatchMode):
    """Notes the size of the pictures for which weights are sorted."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[list[int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.mkldnn._reorder_convolution_weight.default:
            self.sizes.append(args[5])
        return func(*args, **(kwargs or {}))


@packs
def test_weights_are_sorted_for_the_pictures_that_are_seen() -> None:
    """oneDNN's layout depends on their size, and with another's it takes a hundred times as long."""
    torch.manual_seed(0)
    conv = nn.Conv2d(48, 48, 3, padding=1).requires_grad_(False)
    ready, weight = PackedConv2d(conv), conv.weight.clone()
    with torch.no_grad(), Sorting() as sorting:
        for batch, side in ((1, 4), (3, 4), (3, 16), (2, 16)):
            x = torch.randn(batch, 48, side, side)
            torch.testing.assert_close(ready(x), conv(x), rtol=0, atol=1e-5)
            assert torch.equal(ready.weight, weight)
    assert sorting.sizes == [[1, 48, 4, 4], [1, 48, 16, 16]]


def test_threads_share_a_convolution() -> None:
    torch.manual_seed(0)
    ready = winograd_conv(nn.Conv2d(8, 8, 3, padding=1))
    xs = [torch.randn(1, 8, 16, 16) for _ in range(8)]

    def computed(x: Tensor) -> Tensor:
        with torch.no_grad():
            return ready(x)

    alone = [computed(x) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(torch.equal, alone, pool.map(computed, xs)))


@pytest.mark.parametrize(
    ("gain", "channels", "form"), [(2.0, 128, WinogradConv2d), (1.0, 128, None), (2.0, 64, None)]
)
def test_it_is_chosen_by_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, gain: float, channels: int, form: type[ReadyConv2d] | None
) -> None:
    from diffloom.inference import gains

    monkeypatch.setattr(gains, "gains", lambda device, threads: gains.Gains(1.0, 1.0, gain))
    direct = PackedConv2d if packing_fault(torch.float32) is None else PlainConv2d
    assert type(ready_conv(nn.Conv2d(channels, 128, 3, padding=1))) is (form or direct)
    assert type(ready_conv(nn.Conv2d(channels, 128, 1))) is direct
    assert type(ready_conv(nn.Conv2d(channels, 128, 3, padding=1).double())) is PlainConv2d


def test_few_pixels_are_convolved_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "WORTHWHILE", 2**30)
    conv, x = nn.Conv2d(4, 4, 3, padding=1), torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        assert torch.equal(winograd_conv(conv)(x), conv(x))


def test_a_plan_asks_for_one_operation() -> None:
    """Tensors without numbers: shapes are the same, the weights' other form is held, and no band is gone through."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        ready = winograd_conv(nn.Conv2d(8, 12, 3, padding=(0, 1)).requires_grad_(False))
        x = torch.empty(1, 8, 66, 64)
        assert [tuple(kernel.shape) for kernel in ready.kernels] == [(4, 8, 12)] * 4
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            out = ready(x, silu=True, plus_BOHW=torch.empty(1, 12, 64, 64))
    assert out.shape == (1, 12, 64, 64)
    assert counter.get_total_flops() == 2 * 9 * 8 * 12 * 64 * 64

"""A copy for samples. Oracles: the network itself, in float64 and float32, and torch's autocast beside bf16."""

import threading
from collections.abc import Callable, Collection

import pytest
import torch
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.errors import DiffloomError
from diffloom.inference import Compute, ReadyNetwork, chosen_compute
from diffloom.inference.compute import mixes_norms
from diffloom.inference.prepared import prepared
from diffloom.nn import winograd

CPU = torch.device("cpu")
T_B = torch.tensor([5.0, 300.0, 900.0])


def inputs(network: nn.Module, seed: int = 3) -> tuple[Tensor, Condition]:
    generator = torch.Generator().manual_seed(seed)
    is_text = hasattr(network, "slots") and "tokens_BLD" in network.slots
    tokens = torch.randn(3, 7, 16, generator=generator)
    x_BCHW = torch.randn(3, 4 if is_text else 3, 16, 16, generator=generator)
    return x_BCHW, Condition(tokens_BLD=tokens) if is_text else Condition()


def called(network: nn.Module, x_BCHW: Tensor, condition: Condition) -> Tensor:
    with torch.no_grad():
        return network(x_BCHW, T_B, condition)  # type: ignore[no-any-return]


def ready(network: nn.Module, precision: str) -> ReadyNetwork:
    compute = chosen_compute(precision, network)  # type: ignore[arg-type]
    return ReadyNetwork(prepared(network, compute), compute)


@pytest.mark.parametrize("which", ["unet", "text_unet"])
def test_float32_is_the_network_to_rounding(which: str, request: pytest.FixtureRequest) -> None:
    """Beside float64: the copy errs no more than twice what the network itself does, which is rounding alone."""
    network = request.getfixturevalue(which)(0)
    x_BCHW, condition = inputs(network)
    plain = called(network, x_BCHW, condition)
    with torch.no_grad():
        made = ready(network, "fp32")(x_BCHW, T_B, condition)
        exact = network.double()(x_BCHW.double(), T_B, condition.map(Tensor.double))
    assert (made - exact).abs().max() <= 2 * (plain - exact).abs().max() + 1e-6


@pytest.mark.parametrize("which", ["unet", "text_unet"])
def test_float64_stays_what_it_is(which: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(which)(0).double()
    x_BCHW, condition = inputs(network)
    x_BCHW, condition = x_BCHW.double(), condition.map(Tensor.double)
    with torch.no_grad():
        made = ready(network, "auto")(x_BCHW, T_B, condition)
    torch.testing.assert_close(made, called(network, x_BCHW, condition), rtol=0, atol=1e-12)


@pytest.mark.parametrize("which", ["unet", "text_unet"])
def test_bf16_errs_no_more_than_autocast(which: str, request: pytest.FixtureRequest) -> None:
    """Equal errors, but for chance: which of the two errs more on a network alone differs by about 4 %.

    So the mean of eight ratios is known to 1.4 %, and is held to three times that.
    """
    ours, autocast = [], []
    for seed in range(8):
        network = request.getfixturevalue(which)(seed)
        x_BCHW, condition = inputs(network, seed)
        exact = called(network, x_BCHW, condition)
        with torch.no_grad():
            half = ready(network, "bf16")(x_BCHW, T_B, condition)
        with torch.autocast("cpu", torch.bfloat16):
            theirs = called(network, x_BCHW, condition).float()
        assert half.dtype == torch.float32  # the last layer's
        ours.append((half - exact).square().mean().sqrt())
        autocast.append((theirs - exact).square().mean().sqrt())
    assert (torch.stack(ours) / torch.stack(autocast)).mean() <= 1.05
    assert torch.stack(ours).mean() < 0.03  # of a deviation of about 1


def test_statistics_of_norms_are_float32_in_half_precision() -> None:
    """A mean of 256 with deviations of 1: in bf16 sums, whose unit there is 2, nothing of them would be left.

    The oracle is the norm in float64 of what bf16 holds, and the tolerance half a unit of bf16 near 4.
    """
    x_BCHW = (256 + 4 * torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(0))).bfloat16()
    for norm, given in ((nn.GroupNorm(2, 8), x_BCHW), (nn.LayerNorm(16), x_BCHW)):
        half = norm.bfloat16()(given)
        exact = norm.double()(given.double())
        assert (half.double() - exact).abs().max() <= 2**-6
    assert mixes_norms(torch.bfloat16, CPU)


def test_what_a_network_names_stays_in_float32(unet: Callable[[int], nn.Module]) -> None:
    network = unet(0)
    made = prepared(network, chosen_compute("bf16", network))
    types = {name: weight.dtype for name, weight in made.named_parameters()}
    exact = {name for name, dtype in types.items() if dtype == torch.float32}
    assert {"leave.weight", "leave.bias"} <= exact
    assert all("norm" in name for name in exact - {"leave.weight", "leave.bias"})
    assert all(weight.dtype == torch.float32 for weight in network.parameters())


def test_half_weights_stay_half(unet: Callable[[int], nn.Module]) -> None:
    network = unet(0).bfloat16()
    x_BCHW, condition = inputs(network)
    compute = chosen_compute("auto", network)
    assert (compute.dtype, compute.precision) == (torch.bfloat16, "bf16")
    with torch.no_grad():
        half = ready(network, "auto")(x_BCHW, T_B, condition)
        exact = ready(network, "fp32")(x_BCHW, T_B, condition)
    assert half.dtype == exact.dtype == torch.float32
    assert 0 < (half - exact).abs().max() < 0.2


class Doubling(nn.Module):
    """Twice a linear layer; its faster form has the 2 in its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.layer = nn.Linear(3, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(2 * self.layer(x))  # type: ignore[no-any-return]

    def for_inference(self) -> nn.Module:
        assert isinstance(self.inner, nn.Identity), "what is inside was replaced before"
        folded = nn.Linear(3, 3, bias=False)
        folded.weight = nn.Parameter(2 * self.layer.weight)
        return folded


class Inner(nn.Module):
    """The identity, the long way."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 - 1

    def for_inference(self) -> nn.Module:
        return nn.Identity()


class Network(nn.Module):
    """One part in two places, and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Doubling()
        self.again = self.first
        self.last = nn.Linear(3, 3)
        self.kernel = len

    def keeps_float32(self) -> Collection[str]:
        return ("last",)

    def forward(self, x: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        return self.last(self.again(self.first(x)))  # type: ignore[no-any-return]


def test_parts_take_their_faster_forms_children_first() -> None:
    network = Network().eval()
    made = prepared(network, chosen_compute("fp32", network))
    assert isinstance(made.first, nn.Linear)
    assert made.again is made.first, "one part in two places stays one"
    assert isinstance(network.first, Doubling), "the network itself keeps its own"
    x = torch.randn(4, 3)
    torch.testing.assert_close(made(x, x, Condition()), network(x, x, Condition()), rtol=0, atol=1e-6)


def test_weights_that_are_the_same_are_shared() -> None:
    network = Network().eval()
    made = prepared(network, chosen_compute("fp32", network))
    assert made.last.weight.data_ptr() == network.last.weight.data_ptr()
    assert made.kernel is network.kernel
    assert not any(weight.requires_grad for weight in made.parameters())
    assert all(weight.requires_grad for weight in network.parameters())


def test_what_nothing_would_change_is_not_copied() -> None:
    plain = nn.Sequential(nn.Linear(3, 3), nn.SiLU())
    assert prepared(plain, chosen_compute("fp32", plain)) is plain
    assert prepared(plain, chosen_compute("bf16", plain)) is not plain


def test_weights_that_a_form_orders_anew_are_not_laid_out_too(
    unet: Callable[[int], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Winograd's way stay the network's own memory; the others lie as pictures do."""
    monkeypatch.setattr(winograd, "winograd_pays", lambda conv, threads: winograd.winograd_fits(conv))
    network = unet(0)
    own = {weight.data_ptr() for weight in network.parameters()}
    ready = prepared(network, Compute(dtype=torch.float32, channels_last=True))
    forms = [part for part in ready.modules() if isinstance(part, winograd.WinogradConv2d)]
    assert forms
    assert all(form.weight.data_ptr() in own for form in forms)
    kept = {id(form.weight) for form in forms}
    others = [weight for weight in ready.parameters() if weight.dim() == 4 and id(weight) not in kept]
    assert others
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in others)


class Locked(nn.Module):
    """Has an attribute that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.lock = threading.Lock()

    def forward(self, x_BCHW: Tensor, t_B: Tensor, condition: Condition) -> Tensor:
        with self.lock:
            out_BCHW: Tensor = self.conv(x_BCHW)
        return out_BCHW


def test_what_cannot_be_copied_draws_as_it_is_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    network = Locked().eval()
    for _ in range(2):
        assert prepared(network, Compute(torch.float32, channels_last=True)) is network
    assert len(caplog.records) == 1
    assert "Locked cannot be copied" in caplog.text
    assert "lock" in caplog.text
    with pytest.raises(DiffloomError, match=r"Locked cannot be copied .*precision: auto"):
        prepared(network, Compute(torch.bfloat16))

"""U-Nets made ready to draw samples. Oracle: the networks themselves; costs as torch counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.nn import winograd
from diffloom_unet import CrossAttentionUNetModel, UNetModel
from diffloom_unet.network import Network

SMALL: dict[str, Any] = {"channels": (16, 32), "blocks_per_level": 1, "norm_groups": 4}
NETWORKS: dict[str, Callable[[], Network]] = {
    "pixels": lambda: UNetModel(attention_levels=(1,), **SMALL),
    "classes, ADM": lambda: UNetModel(
        attention_levels=(1,), classes=4, embedding="scale_shift", resample="residual", **SMALL
    ),
    "tokens, a vector": lambda: CrossAttentionUNetModel(
        in_channels=3, token_width=6, transformer_depth=(1, 1), heads=2, vector_width=5, **SMALL
    ),
    "linear projections": lambda: CrossAttentionUNetModel(
        in_channels=3, token_width=6, transformer_depth=(0, 2), heads=2, projection="linear", **SMALL
    ),
}


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest, shaken: Callable[[Network], Network]) -> Network:
    torch.manual_seed(0)
    return shaken(NETWORKS[request.param]()).requires_grad_(False)


@pytest.fixture(params=["direct", "winograd"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "winograd":
        monkeypatch.setattr(winograd, "winograd_pays", lambda conv, threads: winograd.winograd_fits(conv))
        monkeypatch.setattr(winograd, "WORTHWHILE", 0)


def condition_of(network: Network, rows: int, dtype: torch.dtype) -> Condition:
    """Random numbers in the slots that it reads."""
    widths = {"vector_BD": (5,), "tokens_BLD": (3, 6)}
    filled = {slot: torch.randn(rows, *widths[slot], dtype=dtype) for slot in network.slots & widths.keys()}
    if "class_B" in network.slots:
        filled["class_B"] = torch.arange(rows)
    return Condition(**filled)


# float32: some thirty layers, each summed in another order, a few units of 1e-7 of numbers of about 1
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.usefixtures("_way")
def test_outputs_and_gradients(network: Network, dtype: torch.dtype, tolerance: float) -> None:
    network.to(dtype)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    ready = ReadyNetworks().of(network, precision="auto")
    assert ready.module is not network
    x, t_B = torch.randn(2, 3, 8, 8, dtype=dtype), torch.full((2,), 30.0)
    condition = condition_of(network, 2, dtype)
    prepared = ready.prepare(condition, [30.0, 20.0])
    leaf = x.clone().requires_grad_()
    expected = network(leaf, t_B, condition)
    (slope,) = torch.autograd.grad(expected.square().sum(), leaf)
    with torch.no_grad():
        for given in (condition, prepared):
            found = ready(x, t_B, given)
            assert (found - expected).abs().max() < tolerance * expected.abs().max()
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(ready(leaf, t_B, prepared).square().sum(), leaf)
    assert (found - slope).abs().max() < 10 * tolerance * slope.abs().max()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_bfloat16_is_no_further_off_than_the_plain_network_s(network: Network) -> None:
    """Rounded to 8 bits at every layer: to 1 % of the output, more or less; the forms may not add to it."""
    condition = condition_of(network, 2, torch.float32)
    x, t_B = torch.randn(2, 3, 8, 8), torch.full((2,), 30.0)
    with torch.no_grad():
        exact = network(x, t_B, condition)
        ready = ReadyNetworks().of(network, precision="bf16")
        found = ready(x, t_B, ready.prepare(condition, [30.0])).float()
        half = condition.map(lambda slot: slot.bfloat16() if slot.is_floating_point() else slot)
        plain = network.bfloat16()(x.bfloat16(), t_B, half).float()
    ours, theirs = ((out - exact).square().mean().sqrt().item() for out in (found, plain))
    assert ours < 1.2 * theirs < 0.1 * exact.std().item()


class Calls(TorchDispatchMode):
    """What ATen is asked for, counted, views left out: on a GPU each is a launch or more."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.counted[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


def calls(ready: Callable[..., Tensor], *inputs: Any) -> Counter[str]:
    """Those of every step but the first, in which weights are sorted for the pictures that are seen."""
    with torch.no_grad():
        ready(*inputs)
        with Calls() as mode:
            ready(*inputs)
    return mode.counted


def test_a_step_asks_for_less(shaken: Callable[[Network], Network]) -> None:
    """No embedding, an activation and an addition less for each convolution, and a layer for each doubling."""
    torch.manual_seed(0)
    network = shaken(UNetModel(channels=(96, 96, 96), attention_levels=(), norm_groups=4))
    x, t_B = torch.randn(2, 3, 16, 16), torch.full((2,), 30.0)
    ready = ReadyNetworks().of(network, precision="fp32")
    plain, fast = (
        calls(network, x, t_B, Condition()),
        calls(ready, x, t_B, ready.prepare(Condition(), [30.0])),
    )
    blocks, attentions = 17, 1
    assert plain["aten.addmm"] + plain["aten.mm"] == blocks + 2 + 2 * attentions
    assert fast["aten.addmm"] + fast["aten.mm"] == 2 * attentions
    assert plain["aten.upsample_nearest2d"] == 2
    assert not fast["aten.upsample_nearest2d"]
    assert plain["aten.sin"] == 1
    assert not fast["aten.sin"]
    assert plain["aten.cat"] - fast["aten.cat"] == 1  # of sines and cosines
    assert not fast["aten.silu"]
    assert fast["aten.silu_"] == 2 * blocks + 1
    assert sum(fast.values()) < 0.75 * sum(plain.values())


def test_doublings_cost_four_ninths(shaken: Callable[[Network], Network]) -> None:
    network = shaken(UNetModel(channels=(16, 32, 32), attention_levels=(), norm_groups=4)).double()
    x, t_B = torch.randn(2, 3, 16, 16, dtype=torch.float64), torch.full((2,), 30.0)
    ready = ReadyNetworks().of(network, precision="auto")
    counted = []
    for call in (network, ready):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call(x, t_B, Condition())
        counted.append(counter.get_total_flops())
    doublings = 2 * 9 * 32 * 32 * 2 * (8 * 8 + 16 * 16)
    assert counted[0] - counted[1] == doublings * 5 // 9

"""U-Nets divided in an outside and an inside.

Oracles: the whole network; the whole network with a feature put in its middle by a hook; operations counted by torch.
Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from diffloom.condition import Condition
from diffloom_caching import DeepFeatures
from diffloom_unet import CrossAttentionUNetModel, UNetModel

UNETS: dict[str, Callable[[], Any]] = {
    "pixels": lambda: UNetModel(channels=(8, 16), blocks_per_level=1, norm_groups=4, classes=5),
    "scale_shift": lambda: UNetModel(
        channels=(8, 8, 16), norm_groups=4, classes=5, embedding="scale_shift", resample="residual"
    ),
    "tokens": lambda: CrossAttentionUNetModel(
        token_width=6,
        channels=(8, 16),
        transformer_depth=(1, 0),
        norm_groups=4,
        in_channels=3,
        out_channels=6,
    ),
}
TIMES = (900.0, 700.0, 500.0, 300.0, 100.0)


@pytest.fixture(params=UNETS)
def unet(request: pytest.FixtureRequest) -> Any:
    """A U-Net in float64 whose every weight counts."""
    torch.manual_seed(0)
    network = UNETS[request.param]().double().eval().requires_grad_(False)
    for weight in network.parameters():
        weight.normal_(0, 0.2)
    return network


def asked(unet: Any, t: float) -> tuple[Tensor, Tensor, Condition]:
    """Two rows at one time."""
    generator = torch.Generator().manual_seed(int(t))
    x_BCHW = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    tokens = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    condition = (
        Condition(tokens_BLD=tokens)
        if "tokens_BLD" in unet.slots
        else Condition(class_B=torch.tensor([1, 4]))
    )
    return x_BCHW, torch.full((2,), t), condition


class Given:
    """Gives a feature for the inside, or keeps what it computes."""

    def __init__(self, depth: int, feature_BCHW: Tensor | None = None) -> None:
        self.depth = depth
        self.feature_BCHW = feature_BCHW

    def __call__(self, inside: Callable[[], Tensor]) -> Tensor:
        if self.feature_BCHW is None:
            self.feature_BCHW = inside()
        return self.feature_BCHW


@contextmanager
def replaced(stack: nn.Module, feature_BCHW: Tensor) -> Iterator[None]:
    """What comes to a stack up from below is this feature."""

    def replace(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x_BCHW, *others = inputs
        return torch.cat([feature_BCHW, x_BCHW[:, feature_BCHW.shape[1] :]], 1), *others

    handle = stack.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def test_the_divided_network_is_the_network(unet: Any) -> None:
    whole = unet(*asked(unet, 500.0))
    assert unet.depths == len(unet.trunk.up)
    for depth in range(1, unet.depths + 1):
        assert torch.equal(unet(*asked(unet, 500.0), deep=Given(depth)), whole)


def test_a_feature_is_all_that_the_inside_gives(unet: Any) -> None:
    """That of another picture and time, against the whole network with that feature put in before `up[-depth]`."""
    for depth in range(1, unet.depths + 1):
        kept = Given(depth)
        unet(*asked(unet, 700.0), deep=kept)
        assert kept.feature_BCHW is not None
        with replaced(unet.trunk.up[-depth], kept.feature_BCHW):
            wanted = unet(*asked(unet, 500.0))
        came = unet(*asked(unet, 500.0), deep=kept)
        assert torch.equal(came, wanted)
        assert not torch.allclose(came, unet(*asked(unet, 500.0)))


def test_every_third_level_is_computed_whole(unet: Any) -> None:
    """The outputs of a walk, each with the feature that its stretch began with."""
    remembering = DeepFeatures(every=3, depth=2).build(unet, times=TIMES)
    for start, times in ((900.0, TIMES[:3]), (300.0, TIMES[3:])):
        kept = Given(2)
        unet(*asked(unet, start), deep=kept)
        for t in times:
            wanted = unet(*asked(unet, t), deep=Given(2, kept.feature_BCHW))
            assert torch.equal(remembering.at(t)(*asked(unet, t)), wanted)


def test_every_level_is_the_network_itself(unet: Any) -> None:
    """Asked twice at a level with other pictures, as by Heun's steps, and between levels."""
    remembering = DeepFeatures(every=1).build(unet, times=TIMES)
    for t in (900.0, 800.0, 700.0, 700.0, 650.0, 500.0, 500.0, 300.0, 100.0):
        x_BCHW, t_B, condition = asked(unet, t)
        x_BCHW = x_BCHW + torch.rand((), dtype=torch.float64)
        assert torch.equal(remembering.at(t)(x_BCHW, t_B, condition), unet(x_BCHW, t_B, condition))


def test_operations_of_the_outside(unet: Any) -> None:
    """Counted: the deeper the division, the more is left to do; the rest is what the inside would have done."""
    counts = []
    whole = flops(lambda: unet(*asked(unet, 500.0)))
    for depth in range(1, unet.depths + 1):
        kept = Given(depth)
        unet(*asked(unet, 700.0), deep=kept)
        counts.append(flops(lambda kept=kept: unet(*asked(unet, 500.0), deep=kept)))
        inside = Counted(depth)
        unet(*asked(unet, 500.0), deep=inside)
        assert counts[-1] + inside.flops == whole
    assert counts == sorted(counts)
    assert counts[-1] < whole


class Counted(Given):
    """Counts the operations of the inside."""

    flops = 0

    def __call__(self, inside: Callable[[], Tensor]) -> Tensor:
        with FlopCounterMode(display=False) as counter:
            feature_BCHW = inside()
        self.flops = counter.get_total_flops()
        return feature_BCHW


def flops(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    total: int = counter.get_total_flops()
    return total


@pytest.mark.parametrize("depth", [1, 2])
def test_operations_of_a_network_of_real_size(depth: int) -> None:
    """Ho et al.'s for CIFAR-10, 6.22 billion multiplications: outside are the last stack's two convolutions of 256 and
    128 channels and its shortcut, the first and the last of the network; a level further in, two stacks more.
    """
    with torch.device("meta"):
        network = UNetModel()
        x_BCHW, t_B = torch.empty(1, 3, 32, 32), torch.empty(1)
        whole = flops(lambda: network(x_BCHW, t_B))
        kept = Given(depth)
        network(x_BCHW, t_B, deep=kept)
        outside = flops(lambda: network(x_BCHW, t_B, deep=kept))
    stack = 9 * (256 * 128 + 128 * 128) + 256 * 128
    down = 9 * (128 * 128 + 128 * 128)
    convolutions = 32 * 32 * (9 * 2 * 3 * 128 + depth * stack + (depth - 1) * down)
    embedding = 128 * 512 + 512 * 512 + (2 * depth - 1) * 512 * 128
    assert outside == 2 * (convolutions + embedding)
    assert whole / (0.5 * whole + 0.5 * outside) > (1.8 if depth == 1 else 1.6)

"""Whole walks that remember. Oracles: the walk that does not, each sample alone, and computations counted by hooks.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import diffloom
from diffloom import Pipeline
from diffloom.errors import ConfigError

DIGITS = Path(__file__).parents[3] / "configs" / "digits.yaml"
SMALL = "backbone={type: unet, channels: [8, 16], blocks_per_level: 1, head_channels: 8, norm_groups: 4}"
PLAIN = ("prediction=v", "sampling.steps=7", "sampling.clip=null")
TOKENS = (
    "conditioners.label={type: class_token, classes: 10, width: 6, dropout: 0.1}",
    "backbone={type: cross_attention_unet, channels: [8, 16], transformer_depth: [1, 1], heads: 2, norm_groups: 4}",
)


def model(*overrides: str, every: int | None = None) -> Pipeline:
    """A small model of digits whose network is in float64, every weight at random; all of one kind have the same."""
    caching = () if every is None else (f"sampling.caching={{type: deep_features, every: {every}}}",)
    pipeline = diffloom.build(DIGITS, [SMALL, *PLAIN, *overrides, *caching], device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in pipeline.module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * max(weight[0].numel(), 4) ** -0.5)
    pipeline.module.double()
    return pipeline


def drawn(pipeline: Pipeline, **asked: Any) -> Tensor:
    """Where the walk arrives, not cut to the range of pictures."""
    *_, last = pipeline.stream(**{"label": [3, 7, 5], **asked})
    return last.following_BCHW


@contextmanager
def counted(pipeline: Pipeline) -> Iterator[Callable[[], tuple[int, int]]]:
    """Calls of the network, and computations of its middle, which lies inside every division."""
    calls, inside = [], []
    module = pipeline.ready(pipeline.document.sampling).module
    handles = [
        module.register_forward_hook(lambda *_: calls.append(1)),
        module.trunk.middle.register_forward_hook(lambda *_: inside.append(1)),
    ]
    try:
        yield lambda: (len(calls), len(inside))
    finally:
        for handle in handles:
            handle.remove()


SAMPLERS = ["ddim", "heun", "dpm2", "dpmpp_2s_ancestral", "dpmpp_2m", "ddpm"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_in_one_is_the_walk_itself(sampler: str) -> None:
    asked = {"sampler": sampler, "guidance": 2.0}
    assert torch.equal(drawn(model(every=1), **asked), drawn(model(), **asked))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        TOKENS,
        (
            "backbone.learn_variance=true",
            "variance=learned_range",
            "objective=hybrid",
            "sampling.sampler=ddpm",
        ),
        ("backbone.self_conditioning=true", "objective.self_conditioning=true"),
        ("sampling.guidance={type: classifier_free, scale: 2.0, interval: [1.0, 3.0]}",),
        ("sampling.guidance={type: perturbed_attention, scale: 2.0}",),
    ],
    ids=["plain", "tokens", "learned variance", "self-conditioned", "interval", "perturbed"],
)
def test_rows_never_mix(overrides: tuple[str, ...]) -> None:
    """Each sample is the same alone, to rounding; and another than without caching, so that something was saved."""
    pipeline = model(*overrides, every=3)
    together = drawn(pipeline)
    for row, label in enumerate([3, 7, 5]):
        alone = drawn(pipeline, label=[label], seed=[(0, row)])
        # what float64 rounds may fall on the other side of a float32: one unit in the last place, seven times
        torch.testing.assert_close(alone, together[[row]], rtol=0, atol=1e-6 * together.abs().max().item())
    assert (drawn(model(*overrides)) - together).abs().max() > 1e-4 * together.abs().max()
    assert torch.equal(drawn(pipeline), together)


@pytest.mark.parametrize(
    ("overrides", "calls", "inside"),
    [
        ((), 7, 3),  # levels 0, 3 and 6
        (
            ("sampling.sampler=heun",),
            13,
            5,
        ),  # the level and its arrival; the step into the clean picture asks once
        (("sampling.sampler=dpm2",), 13, 5),
        (
            ("sampling.guidance.interval=[1.0, 3.0]",),
            7,
            5,
        ),  # guided are 2 and 3; 4 has nothing from after them
    ],
    ids=["ddim", "heun", "dpm2", "interval"],
)
def test_what_is_computed(overrides: tuple[str, ...], calls: int, inside: int) -> None:
    pipeline = model(*overrides, every=3)
    with counted(pipeline) as count:
        drawn(pipeline)
    assert count() == (calls, inside)


def test_operations_of_a_walk() -> None:
    """Of N levels, one in `every` has all operations, the others those of the outside, counted by torch."""
    counts = {every: flops(model("sampling.steps=12", every=every)) for every in (1, 2, 3, 12)}
    assert flops(model("sampling.steps=12")) == counts[1]
    whole = counts[1] / 12
    outside = (counts[12] - whole) / 11
    assert counts[2] == pytest.approx(6 * whole + 6 * outside, rel=1e-9)
    assert counts[3] == pytest.approx(4 * whole + 8 * outside, rel=1e-9)
    assert outside < 0.6 * whole  # two small levels: most of a network so shallow lies outside


def flops(pipeline: Pipeline) -> int:
    with FlopCounterMode(display=False) as counter:
        drawn(pipeline)
    total: int = counter.get_total_flops()
    return total


def test_a_network_that_cannot_be_divided_is_named() -> None:
    with pytest.raises(ConfigError, match=r"sampling\.caching.*cannot; leave sampling\.caching away"):
        drawn(diffloom.build(DIGITS, ["backbone=oracle", "sampling.caching=deep_features"], device="cpu"))


def test_a_division_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"depth: 9 is more than the 4 that this network can be divided at"):
        drawn(model("sampling.caching={type: deep_features, depth: 9}"))

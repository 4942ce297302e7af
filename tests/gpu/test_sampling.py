"""Samples on a GPU. The oracle is the same model on the CPU, where the rest of the suite holds it to the peers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import diffloom
from diffloom import Pipeline
from diffloom.process import Draws

ROUNDING = 2e-3
"""Of float32 sums in another order, over a walk of eight steps."""


@pytest.fixture(scope="module")
def pair() -> tuple[Pipeline, Pipeline]:
    """The same small model on the CPU and on the GPU, none of its weights zero."""
    pipes = []
    for device in ("cpu", "cuda"):
        pipe = diffloom.build("diffloom:digits", seed=3, device=device)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for weight in pipe.backbone.parameters():
                weight.add_(torch.randn(weight.shape, generator=generator).to(weight.device), alpha=0.05)
        pipes.append(pipe)
    return pipes[0], pipes[1]


def drawn(pipe: Pipeline, **options: Any) -> Tensor:
    given: dict[str, Any] = {"label": [3, 7], "steps": 8, "seed": 4, "sampler": "ddim"} | options
    return pipe.sample(**given).tensor


def test_the_same_pictures_as_on_the_cpu(pair: tuple[Pipeline, Pipeline]) -> None:
    cpu, gpu = (drawn(pipe) for pipe in pair)
    torch.testing.assert_close(gpu, cpu, rtol=0, atol=ROUNDING)


def test_the_noise_is_the_same_bit_for_bit(pair: tuple[Pipeline, Pipeline]) -> None:
    first = [next(iter(pipe.stream(label=[3], seed=4, steps=2))).x_t_BCHW.cpu() for pipe in pair]
    assert torch.equal(*first)


@pytest.mark.parametrize(("precision", "within"), [("tf32", 0.02), ("bf16", 0.25), ("fp16", 0.05)])
def test_lower_precision_stays_near(pair: tuple[Pipeline, Pipeline], precision: str, within: float) -> None:
    cpu, gpu = pair
    document = gpu.document
    section = document.sampling.model_copy(update={"precision": precision})
    lower = Pipeline(
        document.model_copy(update={"sampling": section}), gpu.module, gpu.process, registry=gpu.registry
    )
    assert (drawn(lower) - drawn(cpu)).abs().mean() < within


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "euler", "euler_ancestral", "dpmpp_2m", "unipc"])
def test_nothing_waits_for_the_device_inside_the_loop(pair: tuple[Pipeline, Pipeline], sampler: str) -> None:
    _, gpu = pair
    steps = gpu.stream(label=[3, 7], steps=6, sampler=sampler)
    next(steps)  # what is computed once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in steps:
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_nobody_waits_for_noise() -> None:
    """And it is the CPU's."""
    draws = Draws.of(5, [17, 3])
    wanted = draws.normal("prior", (3, 64, 64))
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = draws.normal("prior", (3, 64, 64), device="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found.cpu(), wanted)


def test_a_batch_is_what_its_rows_are_alone(pair: tuple[Pipeline, Pipeline]) -> None:
    _, gpu = pair
    together = drawn(gpu, label=[1, 2, 3, 4])
    alone = drawn(gpu, label=[3], seed=[(4, 2)])
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=ROUNDING)

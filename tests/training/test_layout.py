"""Pictures pixel by pixel in training. Oracle: the same step with pictures plane by plane, in float64 and float32."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from diffloom import config
from diffloom.assembly import assemble
from diffloom.plugins import Plugins
from diffloom.process import Draws
from diffloom.training.batch import Batch
from diffloom.training.diffusion import DiffusionTask, built_loss
from diffloom.training.previews import Previews

SMALL = {
    "image": {"size": 8, "channels": 3},
    "backbone": {"type": "unet", "channels": [8, 16], "norm_groups": 4, "attention_resolutions": [4]},
    "schedule": "linear",
    "prediction": "epsilon",
    "sampling": {"sampler": "ddim", "steps": 2},
}


@pytest.fixture
def task(plugins: Plugins) -> DiffusionTask:
    document = config.load(SMALL, registry=plugins.registry).document
    pipeline = assemble(document, seed=0, registry=plugins.registry)
    for weight in pipeline.module.parameters():
        torch.nn.init.normal_(weight, std=0.2, generator=torch.Generator().manual_seed(weight.numel()))
    return DiffusionTask(pipeline, built_loss(pipeline, seed=0), cast(Previews, None))  # it draws none


def gradients(task: DiffusionTask) -> list[Tensor]:
    """Of the loss of a batch, and the losses."""
    positions = range(3)
    images = Draws.of(1, positions).normal("images", (3, 8, 8))
    images = images.to(next(task.module.parameters()).dtype)
    losses = task.losses(Batch((*positions,), images, {}), Draws.of(0, positions), step=1).each_B
    losses.sum().backward()
    found = [weight.grad for weight in task.module.parameters()]
    task.module.zero_grad(set_to_none=True)
    assert all(grad is not None for grad in found)
    return [losses.detach(), *(grad for grad in found if grad is not None)]


# A gradient sums 10⁴ products, here of size 1: float64 leaves 1e-12 of them, and float32 10⁻⁵.
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_the_layout_changes_nothing_but_rounding(
    task: DiffusionTask, dtype: torch.dtype, rounding: float
) -> None:
    task.module.to(dtype)
    plain, pixelwise = gradients(task), gradients(replace(task, channels_last=True))
    for one, other in zip(pixelwise, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=rounding, atol=rounding * float(other.abs().max()))


def test_every_layer_s_pictures_lie_so_and_no_weight_does(task: DiffusionTask) -> None:
    """One layer that turned them back would have all behind it pay for copies."""
    seen: list[Tensor] = []
    for layer in task.module.modules():
        if isinstance(layer, nn.Conv2d | nn.GroupNorm):
            layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    gradients(replace(task, channels_last=True))
    assert len(seen) > 20
    assert all(h_BCHW.is_contiguous(memory_format=torch.channels_last) for h_BCHW in seen)
    assert all(weight.is_contiguous() for weight in task.module.parameters())

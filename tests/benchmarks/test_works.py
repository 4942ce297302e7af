"""What is measured. Oracle: the folder; and the parameters that the networks' papers and publishers count."""

from __future__ import annotations

import json
import math
import pkgutil
from typing import Any

import pytest
import torch
from benchmarks.speed import works
from benchmarks.speed.training import CIFAR_STEP, LDM_STEP, Setting, document
from benchmarks.speed.works import decode, decode_tiles, solver, startup
from benchmarks.speed.works.large import SD15, SDXL, guided_step
from diffusers import UNet2DConditionModel, UNet2DModel
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from diffloom.bridge import Foreign, MemoryTensors
from diffloom_unet import CrossAttentionUNet

CPU = torch.device("cpu")
NARROW = {
    "sample_size": 8,
    "norm_num_groups": 8,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "cross_attention_dim": 12,
}
"""Of a network that computes in milliseconds."""


def size(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_every_work_has_its_place() -> None:
    assert sorted(works.ORDER) == sorted(module.name for module in pkgutil.iter_modules(works.__path__))
    assert set(works.APART) < set(works.ORDER)


@pytest.mark.parametrize(
    ("setting", "parameters"),
    [(CIFAR_STEP, 35_746_307), (LDM_STEP, 274_056_163)],  # Ho et al. 2020; Rombach et al. 2022, "274 M"
)
def test_both_sides_train_the_same_network(setting: Setting, parameters: int) -> None:
    made = document(setting)
    with torch.device("meta"):
        own = made.backbone.build(space=made.space_info, condition=made.condition_info)
        peer = UNet2DModel(**setting.peer)
    assert size(own) == size(peer) == parameters
    assert setting.millions == pytest.approx(parameters / 1e6, abs=0.1)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [(SD15, 859_520_964), (SDXL, 2_567_463_684)],
    ids=["Stable Diffusion 1.5", "Stable Diffusion XL"],
)
def test_the_large_networks_have_their_real_sizes(options: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        peer = UNet2DConditionModel(**options)
        given = Foreign(MemoryTensors(peer.state_dict()), json.loads(peer.to_json_string()))
        ((_, inferred),) = [
            (bridge, found)
            for bridge in CrossAttentionUNet.bridges()
            if (found := bridge.infer(given)) is not None
        ]
        assert size(inferred.build()) == size(peer) == parameters


class Passes(TorchDispatchMode):
    """How many operations made or changed a tensor as large as x; views make none."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.numel() >= math.prod(solver.SHAPE) and not func.is_view:
            self.count += 1
        return made


@pytest.mark.parametrize("name", solver.PAIRS)
def test_the_passes_of_a_sampler_are_those_that_its_step_takes(name: str) -> None:
    """Which is what no step can do without, by the table of tests/plugins/samplers/test_costs.py."""
    pair = solver.PAIRS[name]
    x, output, noise = (torch.randn(solver.SHAPE) for _ in range(3))
    with torch.no_grad():
        walk = solver._own(pair, solver._levels(pair, CPU), x, output, noise)
        for _ in range(10):  # a solver of several steps remembers as many as it will
            next(walk)
        with Passes() as step:
            next(walk)
        with Passes() as bare:
            solver._passes(pair.passes, x, output)
    assert step.count == bare.count == pair.passes


def test_the_least_of_a_start_fills_as_many_weights_as_the_network_has() -> None:
    made = document(CIFAR_STEP)
    own = made.backbone.build(space=made.space_info, condition=made.condition_info)
    zero = sum(weight.numel() for weight in own.parameters() if not weight.any())
    norms = [part.weight for part in own.modules() if isinstance(part, nn.GroupNorm)]
    drawn = size(own) - zero - sum(weight.numel() for weight in norms)  # which begin at one
    assert (drawn, zero) == (startup.DRAWN, startup.ZERO)


@pytest.mark.parametrize(
    "options",
    [
        NARROW
        | {
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        },
        NARROW
        | {
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": (2, 4),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 10 + 6 * 4,
        },
    ],
    ids=["like 1.5", "like XL"],
)
def test_both_sides_are_asked_the_same(options: dict[str, Any]) -> None:
    """Texts, times and, for XL, sizes reach both networks alike: outputs differ by float32's rounding."""
    eager, beside_compiled = guided_step("small", options, CPU, "fp32")
    theirs, own = eager.peer.call(), eager.ours[0].call()
    torch.testing.assert_close(own, theirs, rtol=0, atol=2e-5 * theirs.std().item())
    assert beside_compiled.gflop is not None
    assert [arm.name for arm in beside_compiled.ours] == ["diffloom fp32", "diffloom fp32, compiled"]


def test_tiles_are_the_whole_picture_on_our_side_and_nearly_on_the_peer_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = decode.KL_F8 | {"block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4}
    monkeypatch.setattr(decode, "KL_F8", narrow)
    monkeypatch.setattr(decode_tiles, "LARGE", 8)
    monkeypatch.setattr(decode_tiles, "TILE", 4)
    (case,) = decode_tiles.cases(CPU)
    whole, blended, exact = (arm.call() for arm in (case.peer, *case.ours))
    within = 1e-4 * whole.std().item()
    torch.testing.assert_close(exact, whole, rtol=0, atol=within)
    assert (blended - whole).abs().max() > 100 * within, (
        "it is not the peer's whole picture that ours is held to"
    )

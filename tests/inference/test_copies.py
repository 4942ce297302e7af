"""Models that are copied, pickled or drawn from in inference mode. Oracle: what the model itself draws."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import diffloom
from diffloom import Pipeline
from diffloom.condition import Condition
from diffloom.inference import ReadyNetworks
from diffloom.testing.modules import awake

ASKED: dict[str, Any] = {"label": [3, 7], "steps": 2, "seed": 1}


def drawn(pipe: Pipeline) -> Tensor:
    return pipe.sample(**ASKED).tensor


def test_a_copy_of_a_model_that_has_drawn_is_a_model_of_its_own(small_model: Pipeline) -> None:
    """What it draws with is made anew: nothing of the first one's is held twice, nor freed twice."""
    wanted = drawn(small_model)
    copied = copy.deepcopy(small_model)
    assert torch.equal(drawn(copied), wanted)
    with torch.no_grad():
        copied.backbone.get_parameter("enter.weight").mul_(2)
    assert not torch.equal(drawn(copied), wanted)
    del copied
    gc.collect()
    assert torch.equal(drawn(small_model), wanted)


def test_a_model_can_be_pickled(small_model: Pipeline, tmp_path: Path) -> None:
    """And drawn from in another process, which has imported nothing of it."""
    wanted = drawn(small_model)
    model, found = tmp_path / "model.pickle", tmp_path / "found.pt"
    model.write_bytes(pickle.dumps(small_model))
    code = (
        f"import pickle, torch; pipe = pickle.load(open({str(model)!r}, 'rb'));"
        f"torch.set_num_threads({torch.get_num_threads()});"
        f"torch.save(pipe.sample(**{ASKED!r}, sampler='unipc').tensor, {str(found)!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert torch.equal(torch.load(found), wanted)


def test_what_inference_mode_left_lets_gradients_pass() -> None:
    """First drawn from in inference mode, whose tensors no gradient passes, then asked for a gradient."""
    configs = Path(__file__).parents[2] / "configs"
    wide = ["backbone.channels=[96,128]", "backbone.norm_groups=8", "backbone.blocks_per_level=1"]
    pipe = diffloom.build(configs / "digits.yaml", wide, device="cpu")
    awake(pipe.backbone, seed=0)
    with torch.inference_mode():
        drawn(pipe)
    ready = pipe.ready(pipe.document.sampling)
    condition = replace(ready.prepare(pipe.condition({"label": [3, 7]}), [30.0]), time=30.0)
    x = torch.randn(2, 1, 8, 8, requires_grad=True)
    t_B = torch.full((2,), 30.0)
    (found,) = torch.autograd.grad(ready(x, t_B, condition).sum(), x)
    (wanted,) = torch.autograd.grad(pipe.backbone(x, t_B, replace(condition, memory={})).sum(), x)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_in_inference_mode_the_same_is_drawn(small_model: Pipeline) -> None:
    wanted = drawn(small_model)
    small_model.forget_ready()
    with torch.inference_mode():
        assert torch.equal(drawn(small_model), wanted)
    assert torch.equal(drawn(small_model), wanted)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_what_was_made_ready_is_not_copied(
    unet: Callable[[int], nn.Module], again: Callable[[ReadyNetworks], ReadyNetworks]
) -> None:
    network, networks = unet(0), ReadyNetworks()
    ready = networks.of(network, precision="fp32")
    other = again(networks)
    assert other.of(network, precision="fp32") is not ready
    assert networks.of(network, precision="fp32") is ready
    assert ready(torch.zeros(1, 3, 8, 8), torch.zeros(1), Condition()).shape == (1, 3, 8, 8)

"""Whole trajectories of dpmpp_sde against diffusers' DPMSolverSDEScheduler, which is k-diffusion's form of it.

In float64 every step agrees to 1e-12, in float32, its class untouched, to 1e-5, on its own grids with the same noise.
It has no x₀ prediction, its eta is 1 and its r 1/2. Its x is our x/alpha. It draws noise by torchsde, which is not
needed to compute with noise that it is given: an empty module stands in for it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from diffloom.process import Level
from diffloom.testing.course import walked
from diffloom_sde import DPMppSDE

# numpy 2 says so of every tensor that diffusers hands to it
pytestmark = pytest.mark.filterwarnings("ignore:.*__array:DeprecationWarning")

GRIDS: dict[str, dict[str, Any]] = {
    "leading": {"timestep_spacing": "leading", "steps_offset": 1},
    "trailing": {"timestep_spacing": "trailing"},
    "linspace": {"timestep_spacing": "linspace"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
}
by_prediction = pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The scheduler's module, whether torchsde is installed or not."""
    monkeypatch.setitem(sys.modules, "torchsde", ModuleType("torchsde"))
    return importlib.import_module("diffusers.schedulers.scheduling_dpmsolver_sde")


def error(beside: Any, module: Any, prediction: str, grid: str, steps: int, **fields: Any) -> float:
    """The largest relative difference of any step's end."""
    peer = module.DPMSolverSDEScheduler(
        beta_schedule="scaled_linear", prediction_type=prediction, **GRIDS[grid], **fields
    )
    peer.set_timesteps(steps)
    times = peer.timesteps.tolist()
    sigmas = [*peer.sigmas[0:1], *peer.sigmas[1::2]]
    levels = beside.levels([float(sigma) for sigma in sigmas], [*times[::2], 0.0])

    def at(log_snr: float) -> Level:
        """A midpoint, shown as the time at which the peer shows it."""
        (index,) = [i for i in range(steps - 1) if levels[i].log_snr < log_snr < levels[i + 1].log_snr]
        assert log_snr == pytest.approx((levels[index].log_snr + levels[index + 1].log_snr) / 2)
        alpha = torch.tensor(log_snr, dtype=torch.float64).sigmoid().sqrt().item()
        return Level(times[2 * index + 1], alpha, (1 - alpha**2) ** 0.5)

    x = beside.normal("start")
    denoise = beside.denoise(prediction)
    ours = walked(DPMppSDE(), x, levels, denoise, noise=beside.noise(levels), at=at)
    theirs, worst = x / levels[0].alpha, 0.0
    for step in ours:
        for call in range(1 if step.next_level.is_clean else 2):
            t = times[2 * step.index + call]
            output = beside.network(peer.scale_model_input(theirs, t), t)
            fed = beside.normal((("look", "path")[call], step.index))
            peer.noise_sampler = lambda start, end, fed=fed: fed
            theirs = peer.step(output, t, theirs).prev_sample
        mine = step.following_BCHW / step.next_level.alpha
        assert mine.dtype == theirs.dtype == beside.dtype
        worst = max(worst, float((mine - theirs).abs().max() / theirs.abs().max()))
    return worst


@by_prediction
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("steps", [5, 20])
def test_in_float64(
    beside: Any, doubled: Any, module: Any, *, prediction: str, grid: str, steps: int
) -> None:
    doubled(module)
    assert error(beside, module, prediction, grid, steps) < 1e-12


@by_prediction
@pytest.mark.parametrize("grid", ["leading", "karras"])
def test_untouched_in_float32(beside: Any, module: Any, prediction: str, grid: str) -> None:
    beside.dtype = torch.float32
    assert error(beside, module, prediction, grid, 20) < 1e-5

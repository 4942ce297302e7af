"""Guidance and corrections beside diffusers' guiders, on the same predictions.

Where the two differ by convention, each test says so. Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.guiders import (
    AdaptiveProjectedGuidance,
    ClassifierFreeGuidance,
    ClassifierFreeZeroStarGuidance,
    PerturbedAttentionGuidance,
)
from diffusers.guiders.guider_utils import rescale_noise_cfg
from torch import Tensor, nn

from diffloom.condition import Condition
from diffloom.kinds import Guide
from diffloom.process import X0, Aims, Denoised, Epsilon, Level, LinearSchedule, Model, Strength, V
from diffloom_guidance import (
    APG,
    CFGZero,
    ClassifierFree,
    DynamicThreshold,
    Rescale,
)

SCHEDULE = LinearSchedule().build()
LEVEL = SCHEDULE.levels([400])[0]
FLOW = Level(0.5, 0.5, 0.5)
X_T, C, U, W = torch.randn(4, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
SCALE = 3.5


def prediction(x0: Tensor, level: Level = LEVEL) -> Denoised:
    return Denoised(x0_BCHW=x0, eps_BCHW=(X_T - level.alpha * x0) / level.sigma)


def velocity(v: Tensor, level: Level) -> Denoised:
    """The prediction whose ε − x₀ this is."""
    x0 = (X_T - level.sigma * v) / (level.alpha + level.sigma)
    return Denoised(x0_BCHW=x0, eps_BCHW=x0 + v)


class Pulled:
    """The shifts of one walk."""

    def __init__(self, guide: Guide) -> None:
        nothing = Condition()
        model = Model(
            under=lambda condition: lambda x, level: prediction(x),
            backbone=nn.Identity(),
            schedule=SCHEDULE,
            space=nn.Identity(),
            space_shape=(2, 4, 4),
            conditioners={},
        )
        (self.pull,) = guide(Aims(condition=nothing, null=nothing), model)

    def __call__(self, plain: Denoised, seen: Sequence[Denoised], level: Level = LEVEL) -> Tensor:
        """The guided x₀."""
        shift = self.pull.shift(X_T, level, plain, seen)
        assert shift is not None
        return plain.x0_BCHW + shift


def test_classifier_free() -> None:
    """Both mean u + scale·(c − u); ours is of x₀, theirs of any prediction, and all are affine in each other."""
    peer = ClassifierFreeGuidance(guidance_scale=SCALE)
    ours = Pulled(ClassifierFree(strength=Strength(SCALE)))
    found = ours(prediction(C), [prediction(U)])
    torch.testing.assert_close(found, peer.forward(C, U).pred, rtol=1e-5, atol=1e-5)
    eps = peer.forward(prediction(C).eps_BCHW, prediction(U).eps_BCHW).pred
    x0, _ = Epsilon().x0_eps(eps, X_T, LEVEL.alpha, LEVEL.sigma)
    torch.testing.assert_close(found, x0, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threshold", [None, 2.5])
@pytest.mark.parametrize("momentum", [0.0, -0.5])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_apg(eta: float, momentum: float, threshold: float | None) -> None:
    """Three steps. Theirs is told `use_original_formulation`, where the scale counts from 0, and given x₀: the paper's
    algorithm 1 is of denoised predictions. 0 is their word for no threshold."""
    peer = AdaptiveProjectedGuidance(
        guidance_scale=SCALE - 1,
        eta=eta,
        adaptive_projected_guidance_momentum=momentum,
        adaptive_projected_guidance_rescale=threshold or 0.0,
        use_original_formulation=True,
    )
    peer.set_state(step=0, num_inference_steps=3, timestep=torch.tensor(999))
    peer.prepare_inputs({})
    ours = Pulled(APG(strength=Strength(SCALE), eta=eta, threshold=threshold, momentum=momentum))
    for step in range(3):
        c, u = C + step * W, U - step * W
        peer.set_state(step=step, num_inference_steps=3, timestep=torch.tensor(999))
        found = ours(prediction(c), [prediction(u)])
        torch.testing.assert_close(found, peer.forward(c, u).pred, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level", [FLOW, LEVEL], ids=["flow", "variance-preserving"])
def test_cfg_zero(level: Level) -> None:
    """Theirs is given the velocity ε − x₀, as a flow's network predicts it."""
    peer = ClassifierFreeZeroStarGuidance(guidance_scale=SCALE, zero_init_steps=0)
    peer.set_state(step=5, num_inference_steps=10, timestep=torch.tensor(999))
    ours = Pulled(CFGZero(strength=Strength(SCALE), zero_share=0.0))
    found = ours(velocity(C, level), [velocity(U, level)], level)
    theirs = velocity(peer.forward(C, U).pred, level)
    torch.testing.assert_close(found, theirs.x0_BCHW, rtol=1e-5, atol=1e-5)


def test_cfg_zero_begins_with_no_velocity() -> None:
    """Theirs counts steps: the first 2 of 50 evenly spaced ones are the 4 % of the axis that ours are."""
    peer = ClassifierFreeZeroStarGuidance(guidance_scale=SCALE, zero_init_steps=2)
    ours = Pulled(CFGZero(strength=Strength(SCALE), zero_share=0.04))
    for step, level in enumerate(SCHEDULE.levels([999 - 999 * i / 50 for i in range(4)])[:-1]):
        peer.set_state(step=step, num_inference_steps=50, timestep=torch.tensor(999))
        found = ours(velocity(C, level), [velocity(U, level)], level)
        wanted = velocity(peer.forward(C, U).pred, level).x0_BCHW
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_perturbed_attention_beside_classifier_free_guidance() -> None:
    """Theirs does both at once; ours are two guidances, whose shifts add up. Their perturbed scale counts from 0."""
    peer = PerturbedAttentionGuidance(
        guidance_scale=SCALE,
        perturbed_guidance_scale=2.8,
        perturbed_guidance_start=0.0,
        perturbed_guidance_stop=1.0,
        perturbed_guidance_layers=[0],
    )
    peer.set_state(step=5, num_inference_steps=10, timestep=torch.tensor(999))
    free = Pulled(ClassifierFree(strength=Strength(SCALE)))(prediction(C), [prediction(U)])
    more = Strength(3.8).excess(LEVEL, SCHEDULE.axis, C) * (C - W)  # W stands for the perturbed prediction
    torch.testing.assert_close(free + more, peer.forward(C, U, W).pred, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("space", ["x0", "epsilon", "v", "flow"])
@pytest.mark.parametrize("factor", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("level", [LEVEL, FLOW], ids=["variance-preserving", "flow"])
def test_rescale(level: Level, factor: float, space: str) -> None:
    """Theirs, of the network's output: what ours calls the space."""
    guided, plain = prediction(2 * C, level), prediction(U, level)
    outputs = {
        "x0": lambda p: p.x0_BCHW,
        "epsilon": lambda p: p.eps_BCHW,
        "v": lambda p: level.alpha * p.eps_BCHW - level.sigma * p.x0_BCHW,
        "flow": lambda p: p.eps_BCHW - p.x0_BCHW,
    }
    output = rescale_noise_cfg(outputs[space](guided), outputs[space](plain), factor)
    power = level.alpha**2 + level.sigma**2
    x0 = {
        "x0": lambda: X0().x0_eps(output, X_T, level.alpha, level.sigma)[0],
        "epsilon": lambda: Epsilon().x0_eps(output, X_T, level.alpha, level.sigma)[0],
        "v": lambda: (level.alpha * X_T - level.sigma * output) / power,
        "flow": lambda: velocity(output, level).x0_BCHW,
    }[space]()
    found = Rescale(factor=factor, space=space)(X_T, level, guided, plain)  # type: ignore[arg-type]
    torch.testing.assert_close(found, x0, rtol=1e-5, atol=1e-5)
    if space == "v" and level is LEVEL:
        torch.testing.assert_close(
            V().x0_eps(output, X_T, level.alpha, level.sigma)[0], found, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("percentile", [90.0, 99.5, 100.0])
def test_dynamic_threshold(percentile: float) -> None:
    """Theirs bounds the threshold by `sample_max_value`; a large one leaves it as the paper has it."""
    peer = DDPMScheduler(thresholding=True, dynamic_thresholding_ratio=percentile / 100, sample_max_value=1e6)
    x0 = 2 * C * torch.tensor([0.1, 1.0, 3.0]).view(-1, 1, 1, 1)
    found = DynamicThreshold(percentile=percentile, limit=1.0)(X_T, LEVEL, prediction(x0), prediction(C))
    torch.testing.assert_close(found, peer._threshold_sample(x0), rtol=1e-5, atol=1e-6)

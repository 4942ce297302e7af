"""Bits per dimension of a pipeline: the exact denoiser of a known mixture, and what cannot be judged.

Oracle: the bound's terms by the same denoiser without a pipeline, and the entropy.
"""

from __future__ import annotations

import math

import pytest
import torch

import diffloom
from diffloom.errors import DiffloomError
from diffloom.likelihood import picture_bits
from diffloom.process import Draws, bits_per_dimension, clipped
from diffloom.testing.closed_forms import GaussianData

STD = 0.25
FILE: dict[str, object] = {
    "image": {"size": 8, "channels": 1},
    "backbone": {"type": "oracle", "means": [[0.0]], "std": STD},
    "schedule": {"type": "linear", "steps": 200},
    "prediction": "epsilon",
    "sampling": {"sampler": "ddpm", "steps": 4},
}
ENTROPY = math.log2(STD * math.sqrt(2 * math.pi * math.e) * 127.5)


def pictures(count: int) -> torch.Tensor:
    """Pixels of N(0, .25²), rounded to 8 bits."""
    x = STD * Draws.of(7, range(count)).normal("data", (1, 8, 8))
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_a_pipeline_s_bound_is_its_denoiser_s(prediction: str) -> None:
    """float32 beside float64: 1e-3 of the bound."""
    pipe = diffloom.build({**FILE, "prediction": prediction}, device="cpu")
    x0 = pictures(3)
    found = picture_bits(pipe, x0, seed=5, clip=1.0)
    levels = pipe.schedule.levels(range(199, -1, -1))
    expected = bits_per_dimension(
        x0,
        levels,
        denoise=clipped(GaussianData(0.0, STD), 1.0),
        variance=pipe.process.variance,
        prior_std=1.0,
        draws=Draws.of(5, range(3)),
    )
    torch.testing.assert_close(found.total, expected.total, rtol=1e-3, atol=0)
    assert found.terms_BS.shape == (3, 200)
    assert float(found.total.mean()) > ENTROPY


def test_fewer_steps_cost_more() -> None:
    pipe = diffloom.build(FILE, device="cpu")
    totals = [float(picture_bits(pipe, pictures(4), steps=steps).total.mean()) for steps in (None, 20)]
    assert ENTROPY < totals[0] < totals[1]


@pytest.mark.parametrize("schedule", ["vp", "flow"])
def test_a_continuous_schedule_is_judged_on_a_thousand_levels(schedule: str) -> None:
    """Evenly spaced in log-SNR, the noisiest and the cleanest time among them; above the entropy, by about 1 bit where
    they go on below a bin's width, as this denoiser does not know that pixels are rounded."""
    pipe = diffloom.build({**FILE, "schedule": schedule, "prediction": "v"}, device="cpu")
    found = picture_bits(pipe, pictures(4))
    assert found.terms_BS.shape == (4, 1000)
    assert ENTROPY < float(found.total.mean()) < ENTROPY + 1.2


def test_conditions_are_heard(small_model: diffloom.Pipeline) -> None:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    three, seven = (picture_bits(small_model, images, steps=3, label=label).total for label in (3, [7, 7]))
    assert not torch.equal(three, seven)


def test_a_self_conditioned_network_is_shown_no_estimate() -> None:
    """What it said of a noisier draw of the same picture would be a hint that no walk has."""
    network = {"type": "unet", "channels": [8], "norm_groups": 4, "attention_resolutions": []}
    backbone = {**network, "self_conditioning": True}
    objective = {"type": "simple", "self_conditioning": True}
    pipe = diffloom.build({**FILE, "backbone": backbone, "objective": objective}, device="cpu")
    seen = []
    pipe.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, 1:]))
    picture_bits(pipe, pictures(1), steps=3)
    assert len(seen) == 3
    assert not any(bool(shown.any()) for shown in seen)


@pytest.mark.parametrize("steps", [1, 201])
def test_other_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(DiffloomError, match=f"steps={steps}: the bound is told of 2 to 200 steps"):
        picture_bits(diffloom.build(FILE, device="cpu"), pictures(1), steps=steps)


def test_latents_are_not_judged() -> None:
    space = {"type": "autoencoder_kl", "channels": [8, 8], "norm_groups": 4, "blocks_per_level": 1}
    pipe = diffloom.build({**FILE, "space": space}, device="cpu")
    with pytest.raises(
        DiffloomError, match="makes latents, and their likelihood is not that of the pictures"
    ):
        picture_bits(pipe, pictures(1))


def test_the_chain_ends_clean() -> None:
    """Its last term is the decoder's: into the clean level, which no network is shown."""
    pipe = diffloom.build(FILE, device="cpu")
    found = picture_bits(pipe, pictures(2), steps=5)
    assert float(found.terms_BS[:, -1].min()) > 1  # of 7 bits, by far the most

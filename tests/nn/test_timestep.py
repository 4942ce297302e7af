"""Oracles: diffusers' `get_timestep_embedding`, bit for bit, and the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding

from diffloom.nn import SinusoidalEmbedding, TimestepMLP

TIMES = torch.tensor([0.0, 1.0, 7.25, 499.5, 998.0, 999.0])
VARIANTS = [(False, 1), (True, 0), (False, 0), (True, 1)]


@pytest.mark.parametrize(("cos_first", "shift"), VARIANTS)
@pytest.mark.parametrize("width", [4, 32, 128])
def test_equals_diffusers_bit_for_bit(cos_first: bool, shift: int, width: int) -> None:
    ours = SinusoidalEmbedding(width=width, cos_first=cos_first, frequency_shift=shift)(TIMES)
    theirs = get_timestep_embedding(TIMES, width, flip_sin_to_cos=cos_first, downscale_freq_shift=shift)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("cos_first", "shift"), VARIANTS)
def test_formula_in_float64(cos_first: bool, shift: int) -> None:
    half = 64
    k = np.arange(half)
    phase = TIMES.double().numpy()[:, None] * 10000.0 ** (-k / (half - shift))
    waves = [np.cos(phase), np.sin(phase)] if cos_first else [np.sin(phase), np.cos(phase)]
    ours = SinusoidalEmbedding(width=2 * half, cos_first=cos_first, frequency_shift=shift)(TIMES)
    # the docstring's bound: float32 knows a phase near 1000 to about 1e-4 radians
    assert np.abs(ours.numpy() - np.concatenate(waves, axis=1)).max() < 1e-4


def test_paper_ends_at_one_ten_thousandth_and_openai_above_it() -> None:
    t = torch.tensor([1.0])
    slowest = [SinusoidalEmbedding(width=32, frequency_shift=shift)(t)[0, 15].item() for shift in (1, 0)]
    assert slowest[0] == pytest.approx(1e-4, rel=1e-5)
    assert slowest[1] == pytest.approx(10000 ** (-15 / 16), rel=1e-5)


def test_float32_whatever_the_network_is() -> None:
    embedding = SinusoidalEmbedding(width=32).to(torch.bfloat16)
    out = embedding(TIMES)
    assert out.dtype == torch.float32
    assert not torch.equal(out[-1], out[-2])  # t = 998 and t = 999 stay apart


@pytest.mark.parametrize(("width", "shift"), [(7, 0), (2, 1), (0, 0)])
def test_width_without_a_second_frequency_is_refused(width: int, shift: int) -> None:
    with pytest.raises(ValueError, match="even and above"):
        SinusoidalEmbedding(width=width, frequency_shift=shift)


def test_mlp_equals_diffusers() -> None:
    torch.manual_seed(0)
    theirs = TimestepEmbedding(32, 128)
    ours = TimestepMLP(width=32, emb_width=128)
    ours.expand.load_state_dict(theirs.linear_1.state_dict())
    ours.mix.load_state_dict(theirs.linear_2.state_dict())
    x = torch.randn(3, 32)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)

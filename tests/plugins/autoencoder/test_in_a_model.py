"""How a model decodes its samples. Oracle: the model's own space, as it is trained."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import diffloom
from diffloom.inference import Compute
from diffloom.inference.prepared import prepared
from diffloom.kinds import ImageInfo
from diffloom_autoencoder import AutoencoderKL
from diffloom_autoencoder.strip_side import StripSide

CONFIG = """
image: {size: 16, channels: 3}
space: {type: autoencoder_kl, channels: [8, 8], norm_groups: 4, blocks_per_level: 1, scale: 0.5}
backbone: {type: unet, channels: [8], blocks_per_level: 1, attention_resolutions: [], norm_groups: 4}
schedule: {type: cosine}
prediction: epsilon
objective: {type: simple}
data: {type: digits}
train: {steps: 1, batch_size: 1, lr: 1e-3}
sampling: {sampler: ddim, steps: 2, precision: PRECISION}
"""


def model(folder: Path, precision: str, scattered: Callable[[nn.Module], nn.Module]) -> Any:
    (folder / "model.yaml").write_text(CONFIG.replace("PRECISION", precision))
    pipeline = diffloom.build(folder / "model.yaml", device="cpu")
    scattered(pipeline.module["space"])
    return pipeline


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-5), ("bf16", 0.1)])
@torch.no_grad()
def test_samples_are_decoded_by_a_codec_made_ready(
    precision: str, bound: float, tmp_path: Path, scattered: Callable[[nn.Module], nn.Module]
) -> None:
    pipeline = model(tmp_path, precision, scattered)
    space = pipeline.module["space"]
    calls: list[type[nn.Module]] = []
    forward = StripSide.forward

    def noted(side: StripSide, *args: Any, **options: Any) -> torch.Tensor:
        calls.append(type(side))
        return forward(side, *args, **options)

    x_BCHW = torch.randn(2, 4, 8, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StripSide, "forward", noted)
        made = pipeline.decode(x_BCHW)
    assert calls == [StripSide]
    assert made.dtype == torch.float32
    plain = space.decode(x_BCHW).clamp(-1, 1)
    assert (made - plain).abs().max() < bound
    assert not isinstance(space.decoder, StripSide)
    assert {weight.dtype for weight in space.parameters()} == {torch.float32}
    space.decoder.stages[0].parts[0].weight.mul_(0.9)  # training goes on
    assert (pipeline.decode(x_BCHW) - space.decode(x_BCHW).clamp(-1, 1)).abs().max() < bound
    assert (pipeline.decode(x_BCHW) - made).abs().max() > 0


@torch.no_grad()
def test_what_overflows_is_computed_in_float32(
    scattered: Callable[[nn.Module], nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it was made ready: of weights within the range of float16, numbers beyond it, normalised at last."""
    torch.manual_seed(0)
    part = AutoencoderKL(channels=(8, 16), norm_groups=4, blocks_per_level=1)
    codec: Any = scattered(part.build(image=ImageInfo(16, 16, 3)))
    codec.decoder.stages[1].parts[0].conv.weight.mul_(1e5)
    ready: Any = prepared(codec, Compute(dtype=torch.float16, channels_last=True))
    x_BCHW = torch.randn(2, 4, 8, 8)
    assert not ready.decoder(x_BCHW.half()).isfinite().all()
    pictures = codec.decode(x_BCHW)
    error = (ready.decode(x_BCHW) - pictures).std() / pictures.std()
    assert error < 0.003  # the weights have 11 bits, of which 5e-4 are lost
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "float32" in told[0]

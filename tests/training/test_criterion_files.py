"""A criterion whose network is in a file. Oracles: the file's own tensors; what a run needs once it has begun."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffloom.bridge import theirs_of
from diffloom.checkpoint import open_checkpoint
from diffloom.errors import CheckpointError
from diffloom.kinds import ImageInfo
from diffloom.training import Trained
from diffloom_criteria import Perceptual
from diffloom_criteria.vgg_weights import VGGWeights

TrainTiny = Callable[..., Trained]
FILE = """\
image: {{size: 16, channels: 1}}
space: parts/codes
autoencoder: {{criteria: [lp, {{type: perceptual, weights: {weights}}}]}}
data: {{type: parts/gaussian, examples: 6}}
train: {{steps: 1, batch_size: 2, lr: 1e-3}}
"""


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """A VGG16 with LPIPS's weights, random, under their published names."""
    judge = Perceptual(weights="file").build(image=ImageInfo(height=16, width=16, channels=3))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in judge.parameters():
            weight.copy_(torch.rand(weight.shape, generator=generator) / weight[0].numel())
    return {name: tensor.contiguous() for name, tensor in theirs_of(judge, VGGWeights()).items()}


def test_it_begins_as_the_file_and_resumes_without_it(
    tmp_path: Path, train_tiny: TrainTiny, tensors: dict[str, torch.Tensor]
) -> None:
    file = tmp_path / "vgg16.safetensors"
    save_file(tensors, file)
    text = FILE.format(weights=file)
    trained = train_tiny(tmp_path / "run", text=text)
    frozen = open_checkpoint(trained.checkpoint).group("frozen")
    assert len(frozen) == len(tensors) == 31
    there = {f"criteria.1.distance.stages.0.0.{leaf}": f"features.0.{leaf}" for leaf in ("weight", "bias")}
    there["criteria.1.distance.stages.4.2.weight"] = "features.28.weight"
    for ours, theirs in there.items():
        assert torch.equal(frozen[ours], tensors[theirs])
    learned = frozen["criteria.1.distance.channel_weights.3"]
    assert torch.equal(learned, tensors["lin3.model.1.weight"][..., 0, 0])

    file.unlink()
    train_tiny(tmp_path / "run", text=text.replace("steps: 1", "steps: 2"), resume=True)
    with pytest.raises(CheckpointError, match=rf"^{re.escape(str(file))}: no such [a-z ]+; check the name$"):
        train_tiny(tmp_path / "another", text=text)


def test_a_file_of_another_network(
    tmp_path: Path, train_tiny: TrainTiny, tensors: dict[str, torch.Tensor]
) -> None:
    """Without LPIPS's own weights, where they are asked for: nothing is filled in."""
    file = tmp_path / "vgg16.safetensors"
    save_file({name: tensor for name, tensor in tensors.items() if not name.startswith("lin")}, file)
    with pytest.raises(CheckpointError, match=r"5 missing: lin0\.model\.1\.weight, lin1"):
        train_tiny(tmp_path / "run", text=FILE.format(weights=file))
    assert not (tmp_path / "run" / "config.resolved.yaml").exists()

"""Memory as planned and as measured. Oracle: torch's profiler, which sees every allocation of a real run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffloom import config
from diffloom.planning import plan
from diffloom.plugins import load_plugins

HERE = Path(__file__).parent
PARTS = HERE.parent / "training" / "parts.py"
COUNT = 4
CONFIGS = {
    # Dropout, accumulated gradients, and previews that need more than a step.
    "pixels": """\
image: {size: 32, channels: 3}
conditioners: {label: {type: class_label, classes: 2, dropout: 0.1}}
backbone:
  {type: unet, channels: [32, 64], blocks_per_level: 1, attention_resolutions: [16], norm_groups: 8, dropout: 0.1}
schedule: {type: cosine, steps: 1000}
prediction: epsilon
sampling: {sampler: ddim, steps: 4, guidance: {type: classifier_free, scale: 2.0}}
data: {type: parts/gaussian, class_means: [-0.5, 0.5]}
train: {steps: 3, batch_size: 16, micro_batch_size: 6, lr: 1e-3, sample_every: 3}
""",
    # An encoder beside the network, checkpointed blocks in half precision, an optimiser that asks for numbers.
    "latents": """\
image: {size: 48, channels: 3}
space: {type: autoencoder_kl, channels: [16, 32], latent_channels: 4, blocks_per_level: 1, norm_groups: 8}
conditioners: {label: {type: class_token, classes: 2, width: 32, dropout: 0.1}}
backbone:
  type: cross_attention_unet
  channels: [32, 64]
  blocks_per_level: 1
  transformer_depth: [1, 1]
  heads: 2
  norm_groups: 8
schedule: {type: cosine, steps: 1000}
prediction: v
sampling: {sampler: dpmpp_2m, steps: 4, guidance: {type: classifier_free, scale: 2.0}}
data: {type: parts/gaussian, class_means: [-0.5, 0.5]}
train:
  steps: 3
  batch_size: 8
  lr: 1e-3
  precision: bf16
  gradient_checkpointing: true
  optimizer: adafactor
  further_ema: {slow: {type: exponential, decay: 0.99}}
""",
    "autoencoder": """\
image: {size: 32, channels: 3}
space: {type: autoencoder_kl, channels: [16, 32], latent_channels: 4, blocks_per_level: 1, norm_groups: 8}
autoencoder: # the second criterion judges the last step alone
  criteria: [{type: lp}, {type: patch_adversarial, start_step: 3, channels: 16, layers: 2, norm_groups: 8}]
data: {type: parts/gaussian}
train: {steps: 3, batch_size: 12, lr: 1e-3, sample_every: 3}
""",
}
PIXELS = CONFIGS["pixels"].partition("data:")[0]
CONFIGS |= {
    "half": PIXELS.replace("steps: 4,", "steps: 4, precision: bf16,"),
    "cached": PIXELS.replace("steps: 4,", "steps: 4, caching: {type: deep_features, every: 2},"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("configs")
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)
    return {name: folder / f"{name}.yaml" for name in CONFIGS}


@pytest.fixture(scope="module")
def measured(files: dict[str, Path]) -> dict[str, dict[str, int]]:
    """What a process of its own takes, which does nothing else."""
    done = subprocess.run(
        [sys.executable, str(HERE / "measured.py"), str(PARTS), str(COUNT), *map(str, files.values())],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_is_within_a_tenth_of_what_is_measured(name: str, files, measured) -> None:
    """What operations need inside is all that a plan does not see."""
    registry = load_plugins((str(PARTS),)).registry
    document = config.load(files[name], registry=registry).document
    found = plan(document, count=COUNT, registry=registry, device="cpu")
    assert found.unknown == ()
    assert (found.training is None) == (name in ("half", "cached"))
    if found.training is not None:
        assert found.training.peak_bytes == pytest.approx(measured[name]["training"], rel=0.1)
        # A file has, beside its tensors, their names and digests and the configuration.
        assert found.training.disk.checkpoint == pytest.approx(measured[name]["checkpoint"], rel=0.05)
        assert found.training.disk.checkpoint < measured[name]["checkpoint"]
    assert (found.sampling is None) == (name == "autoencoder")
    if found.sampling is not None:
        drawn = sum(found.sampling.memory.values())
        assert drawn == pytest.approx(measured[name]["sampling"], rel=0.1)
        assert (found.sampling.calls, found.sampling.views) == (4, 2)


def test_what_is_asked_for_is_told_with_what_it_would_take_otherwise(files, measured) -> None:
    registry = load_plugins((str(PARTS),)).registry
    half, cached = (
        plan(
            config.load(files[name], registry=registry).document, count=COUNT, registry=registry, device="cpu"
        )
        for name in ("half", "cached")
    )
    assert half.sampling is not None
    assert cached.sampling is not None
    assert half.sampling.precision == "bf16"
    for found, said in ((half.sampling, "in fp32"), (cached.sampling, "without caching")):
        # The model itself, whose plan and measurement are the other test's.
        assert found.memory_otherwise == {said: pytest.approx(measured["pixels"]["sampling"], rel=0.1)}
    assert sum(half.sampling.memory.values()) < half.sampling.memory_otherwise["in fp32"]
    assert sum(cached.sampling.memory.values()) > cached.sampling.memory_otherwise["without caching"]
    # Nearly all of the network's weights are halved, and held beside the network itself.
    ready, weights = half.sampling.memory["ready weights"], half.sampling.memory["weights"]
    assert 0.4 * weights < ready < 0.55 * weights

"""`diffloom export` at the command line. Oracle: the files themselves; tests/bridge opens them with diffusers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from safetensors.torch import load_file

import diffloom
from diffloom import config
from diffloom.plugins import load_plugins
from diffloom.training import train

Invoke = Callable[..., Result]
PIXELS = """\
image: {size: 8, channels: 1}
backbone:
  type: unet
  channels: [8, 16]
  blocks_per_level: 1
  attention_resolutions: []
  norm_groups: 4
  norm_eps: 1.0e-5
  downsample_padding: symmetric
  time_cos_first: true
  time_frequency_shift: 0
schedule: cosine
prediction: v
sampling: {sampler: ddpm, steps: 1000, clip: 1.0}
data: digits
train: {steps: 2, batch_size: 2, lr: 1e-3, sample_every: null}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of pixels without a condition, trained for two steps."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "pixels.yaml").write_text(PIXELS)
    plugins = load_plugins()
    train(
        config.load(folder / "pixels.yaml", registry=plugins.registry),
        folder / "run",
        plugins=plugins,
        device="cpu",
    )
    return folder / "run"


def test_a_run_becomes_a_pipeline(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    result = invoke("export", run, tmp_path / "theirs", "--to", "diffusers")
    assert result.exit_code == 0, result.output
    assert "DDPMPipeline" in result.output
    index = json.loads((tmp_path / "theirs" / "model_index.json").read_text())
    assert (index["unet"], index["scheduler"]) == (
        ["diffusers", "UNet2DModel"],
        ["diffusers", "DDPMScheduler"],
    )
    scheduler = json.loads((tmp_path / "theirs" / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler["beta_schedule"] == "squaredcos_cap_v2"
    assert (scheduler["prediction_type"], scheduler["clip_sample"]) == ("v_prediction", True)
    back = diffloom.load(tmp_path / "theirs", device="cpu").sample(n=1, steps=3).tensor
    assert back.equal(diffloom.load(run, device="cpu").sample(n=1, steps=3).tensor)


def test_the_last_weights_or_the_averages(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    found = []
    for weights in ("ema", "raw"):
        done = invoke("export", run, tmp_path / weights, "--to", "diffusers", "--weights", weights)
        assert done.exit_code == 0, done.output
        found.append(load_file(tmp_path / weights / "unet" / "diffusion_pytorch_model.safetensors"))
    assert not found[0]["conv_out.weight"].equal(found[1]["conv_out.weight"])


def test_one_network(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    done = invoke("export", run, tmp_path / "unet", "--to", "diffusers", "--part", "backbone")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "unet").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]


def refused(invoke: Invoke, *words: object) -> str:
    result = invoke("export", *words)
    assert result.exit_code == 2, result.output
    return result.output


def test_what_has_no_form_there(invoke: Invoke, run: Path, run_folder: Path, tmp_path: Path) -> None:
    dest = tmp_path / "x"
    told = refused(invoke, run_folder, dest, "--to", "diffusers")
    assert "no pipeline for conditions by label (class_label)" in told
    assert "--part backbone" in told
    assert "models of latents; this one is of pixels" in refused(
        invoke, run, tmp_path / "x.safetensors", "--to", "ldm"
    )
    assert "is no single network of it; it has backbone[0]" in refused(
        invoke, run, dest, "--to", "diffusers", "--part", "bakbone"
    )
    assert "no such checkpoint" in refused(invoke, tmp_path / "nowhere", dest, "--to", "diffusers")
    assert list(tmp_path.iterdir()) == []


def test_the_place_is_taken(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for dest in (tmp_path / "file", tmp_path):
        assert "exists already" in refused(invoke, run, dest, "--to", "diffusers")
    told = refused(invoke, run, tmp_path / "file" / "x", "--to", "diffusers")
    assert "cannot be written" in told
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

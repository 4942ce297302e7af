"""`diffloom cache` as its users run it. Oracles: training from the pictures; the folder's content before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from diffloom import config
from diffloom.checkpoint import read_header
from diffloom.latents.caching import Caching
from diffloom.plugins import load_plugins
from diffloom.training import train

Invoke = Callable[..., Result]

SPACE = "{type: tiny_autoencoder, channels: 8, blocks: [1, 1], latent_channels: 2, WEIGHTS}"
AUTOENCODER = """\
image: {size: 16, channels: 3}
space: SPACE
autoencoder: {criteria: [lp]}
data: {type: image_folder, path: pictures}
train: {steps: 1, batch_size: 4, lr: 1e-3}
"""
MODEL = """\
image: {size: 16, channels: 3}
space: SPACE
backbone: {type: unet, channels: [8], blocks_per_level: 1, attention_resolutions: [], norm_groups: 4}
schedule: cosine
prediction: v
sampling: {sampler: ddim, steps: 2}
data: {type: image_folder, path: pictures}
train: {steps: 3, batch_size: 4, lr: 1e-3}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, and an autoencoder trained on them for a step."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "pictures").mkdir()
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (10, 20, 24, 3), dtype=np.uint8)
    for index, pixels_HWC in enumerate(pixels_NHWC):
        Image.fromarray(pixels_HWC).save(folder / "pictures" / f"{index}.png")
    plugins = load_plugins()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        text = AUTOENCODER.replace("SPACE", SPACE).replace(", WEIGHTS", "")
        resolved = config.parse(text, name="autoencoder", registry=plugins.registry)
        train(resolved, folder / "autoencoder", plugins=plugins, device="cpu")
    return folder


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a calibrated latent model."""
    monkeypatch.chdir(tmp_path)
    for name in ("pictures", "autoencoder"):
        (tmp_path / name).symlink_to(home / name)
    (tmp_path / "latent.yaml").write_text(
        MODEL.replace("SPACE", SPACE).replace("WEIGHTS", "weights: autoencoder")
    )
    return tmp_path


def refused(invoke: Invoke, *words: object) -> str:
    result = invoke(*words)
    assert result.exit_code == 2, result.output
    return result.output


def test_calibrate_cache_and_train(invoke: Invoke, folder: Path) -> None:
    assert invoke("calibrate", "latent.yaml").exit_code == 0
    done = invoke("cache", "latent.yaml", "-o", "caches/latents", "--shard-examples", "4")
    assert (done.exit_code, done.output) == (0, "caches/latents (10 latents in 3 files)\n")
    before = {path: path.read_bytes() for path in (folder / "caches").rglob("*.*")}
    again = invoke("cache", "latent.yaml", "-o", "caches/latents", "--shard-examples", "4")
    assert again.output == done.output
    assert {path: path.read_bytes() for path in (folder / "caches").rglob("*.*")} == before

    for name, words in (("cached", ["latents=caches/latents"]), ("pictures", [])):
        result = invoke("train", "latent.yaml", *words, "-o", f"runs/{name}", "--device", "cpu")
        assert result.exit_code == 0, result.output
    cached, pictures = (
        read_header(folder / "runs" / name / "checkpoints" / "step-00000003.safetensors").digests
        for name in ("cached", "pictures")
    )
    assert cached == pictures


def test_half_precision(invoke: Invoke, folder: Path) -> None:
    for dtype in ("float32", "float16"):
        assert invoke("cache", "latent.yaml", "-o", dtype, "--dtype", dtype).exit_code == 0
    whole, half = (
        (folder / dtype / "latents-00000.safetensors").stat().st_size for dtype in ("float32", "float16")
    )
    assert whole - half == 10 * 2 * 8 * 8 * 2  # ten latents of 2×8×8 numbers, two bytes less for each


def test_random_views(invoke: Invoke, folder: Path) -> None:
    told = refused(invoke, "cache", "latent.yaml", "data.flip=true", "-o", "latents")
    assert told == (
        "error: data: diffloom/image_folder as configured draws another view of an example each time (a flip, a crop, "
        "one of several captions), and a cache holds what was drawn once; turn that off, or say how many views of "
        "each to keep with --views\n"
    )
    assert not (folder / "latents").exists()
    done = invoke("cache", "latent.yaml", "data.flip=true", "-o", "latents", "--views", "3")
    assert done.output == "latents (30 latents in 1 file)\n"
    assert invoke("calibrate", "latent.yaml", "data.flip=true").exit_code == 0
    words = ("data.flip=true", "latents=latents")
    trained = invoke("train", "latent.yaml", *words, "-o", "run", "--device", "cpu")
    assert trained.exit_code == 0, trained.output
    assert "data.flip: True → False" in refused(
        invoke, "train", "latent.yaml", "latents=latents", "-o", "other"
    )


def test_ctrl_c(invoke: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Caching, "run", interrupted)
    stopped = invoke("cache", "latent.yaml", "-o", "latents")
    assert (stopped.exit_code, stopped.output) == (
        130,
        "stopped; the same command goes on after the last whole file\n",
    )


def test_refusals(invoke: Invoke, folder: Path) -> None:
    assert "diffloom/pixel has no latents" in refused(invoke, "cache", "diffloom:digits", "-o", "x")
    assert "space.weights: is not set" in refused(
        invoke, "cache", "latent.yaml", "space.weights=null", "-o", "x"
    )
    assert "no such checkpoint" in refused(
        invoke, "cache", "latent.yaml", "space.weights=nowhere.safetensors", "-o", "x"
    )
    (folder / "file").write_text("in the way")
    assert "file: cannot be made" in refused(invoke, "cache", "latent.yaml", "-o", "file")
    assert not (folder / "x").exists()

"""Training from a cache. Oracle: training from the pictures, to the last bit; the run never stopped."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from diffloom.errors import ConfigError, DataError, RunError
from diffloom.training import Trained
from diffloom.training.feed import Batch
from diffloom.training.loop import Loop
from diffloom.training.run_folder import RunFolder
from diffloom.training.step import Taken

TrainLatent = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
Launch = Callable[..., Any]
PATIENCE_SECONDS = 120


@pytest.fixture
def scaled(latent_yaml: Path) -> Path:
    """The latent model, normalised."""
    text = latent_yaml.read_text()
    latent_yaml.write_text(text.replace("parts/halved\n", "parts/halved\n  scale: 0.3\n  shift: 2.0\n"))
    return latent_yaml


def cache(launch: Launch, file: Path, folder: Path, *words: object) -> Path:
    process = launch("cache", file, "-o", folder, "--shard-examples", 13, "--device", "cpu", *words)
    assert process.wait() == 0, process.errors.read_text()
    return folder


@pytest.mark.parametrize("space", ["parts/halved", "parts/halved_plainly"])
def test_the_same_bits_as_from_pictures(
    *,
    tmp_path: Path,
    scaled: Path,
    autoencoders: dict[str, Path],
    launch: Launch,
    train_latent: TrainLatent,
    outcome: Outcome,
    space: str,
) -> None:
    scaled.write_text(
        scaled.read_text()
        .replace("parts/halved\n", f"{space}\n")
        .replace(str(autoencoders["parts/halved"]), str(autoencoders[space]))
    )
    folder = cache(launch, scaled, tmp_path / "cache")
    train_latent(scaled, tmp_path / "pictures")
    train_latent(scaled, tmp_path / "cached", f"latents={folder}")
    assert outcome(tmp_path / "cached") == outcome(tmp_path / "pictures")


def test_stopped_and_resumed(
    *,
    tmp_path: Path,
    scaled: Path,
    launch: Launch,
    train_latent: TrainLatent,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped without warning between checkpoints, twice; read ahead by a process of its own in between."""
    use = f"latents={cache(launch, scaled, tmp_path / 'cache')}"
    train_latent(scaled, tmp_path / "pictures")
    take = Loop._step
    for stop, workers in ((9, 0), (16, 1)):

        def step_until(loop: Loop, passes: Sequence[Batch], stop: int = stop) -> Taken:
            if loop.state.step == stop:
                raise InterruptedError
            return take(loop, passes)

        with monkeypatch.context() as patch:
            patch.setattr(Loop, "_step", step_until)
            resume, words = (tmp_path / "cached").exists(), (use, f"train.workers={workers}")
            with pytest.raises(InterruptedError):
                train_latent(scaled, tmp_path / "cached", *words, resume=resume)
    train_latent(scaled, tmp_path / "cached", use, resume=True)
    assert outcome(tmp_path / "cached") == outcome(tmp_path / "pictures")


def kill_when(process: Any, is_time: Callable[[], bool], moments: random.Random) -> bool:
    """Kill a process a little after it is time; whether it was still running."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_time():
        assert time.monotonic() < end, process.errors.read_text()
        time.sleep(0.002)
    time.sleep(moments.uniform(0, 0.03))
    os.kill(process.pid, signal.SIGKILL)
    code = process.wait()
    assert code in (0, -signal.SIGKILL), process.errors.read_text()
    return bool(code)


def test_killed_while_caching_and_while_training(
    tmp_path: Path, scaled: Path, launch: Launch, outcome: Outcome
) -> None:
    """SIGKILL to real processes, again and again: the cache's bytes and the run's bits are those of no kill."""
    moments = random.Random(3)
    slow = ("data.examples=120", "data.seconds_each=0.004")
    words = ("--shard-examples", 7, *slow)
    whole, killed = cache(launch, scaled, tmp_path / "whole", *words), tmp_path / "killed"
    for target in (0, 2, 7, 12):  # of 18 files
        process = launch("cache", scaled, "-o", killed, *words, "--device", "cpu")
        ended = kill_when(process, lambda n=target: len(list(killed.glob("latents-*"))) >= n, moments)
        assert ended or target == 12
    cache(launch, scaled, killed, *words)
    names = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in killed.iterdir()) == names
    assert all(
        (killed / name).read_bytes() == (whole / name).read_bytes() for name in names if name != ".lock"
    )

    training = (*slow, f"latents={killed}", "train.steps=150", "train.sample_every=null", "--device", "cpu")
    process = launch("train", scaled, "-o", tmp_path / "straight", *training)
    assert process.wait() == 0, process.errors.read_text()
    run = RunFolder(tmp_path / "run")
    for target in (1, 35, 77):
        resume = ["--resume"] if run.path.exists() else []
        process = launch("train", scaled, "-o", run.path, *resume, *training)
        ended = kill_when(
            process, lambda n=target: (run.saved() or [Path()])[-1] >= run.checkpoint(n), moments
        )
        assert ended or target == 77
    process = launch("train", scaled, "-o", run.path, "--resume", *training)
    assert process.wait() == 0, process.errors.read_text()
    assert outcome(run.path) == outcome(tmp_path / "straight")


def test_a_cache_of_something_else(
    tmp_path: Path, scaled: Path, launch: Launch, train_latent: TrainLatent
) -> None:
    """Refused before the run has left anything, so that the same folder serves once it is mended."""
    folder = cache(launch, scaled, tmp_path / "cache")
    with pytest.raises(DataError, match=r"was made of something else .*:\n  data\.offset: 0\.0 → 0\.5\n"):
        train_latent(scaled, tmp_path / "run", f"latents={folder}", "data.offset=0.5")
    assert not (tmp_path / "run" / "config.resolved.yaml").exists()
    train_latent(scaled, tmp_path / "run", f"latents={folder}")


def test_another_source_is_another_run(
    tmp_path: Path, scaled: Path, launch: Launch, train_latent: TrainLatent
) -> None:
    """A cache may be of half precision, or of few views: its numbers need not be the pictures'."""
    folder = cache(launch, scaled, tmp_path / "cache")
    train_latent(scaled, tmp_path / "run")
    with pytest.raises(RunError, match="latents: None → "):
        train_latent(scaled, tmp_path / "run", f"latents={folder}", resume=True)


def test_latents_of_pixels(tmp_path: Path, latent_yaml: Path, train_latent: TrainLatent) -> None:
    with pytest.raises(
        ConfigError, match="latents: diffloom/pixel is no autoencoder and has none; leave this key out"
    ):
        train_latent(latent_yaml, tmp_path / "run", "space=pixel", "latents=cache")

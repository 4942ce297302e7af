"""That training learns, and stops when it cannot. Oracle: the best loss on Gaussian data in closed form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import diffloom
from diffloom.checkpoint import open_checkpoint
from diffloom.errors import NonFiniteLossError
from diffloom.process import Draws
from diffloom.training import Trained
from diffloom.training.ema import Average
from diffloom.training.run_folder import RunFolder

TrainTiny = Callable[..., Trained]
STD, TIMES = 0.5, 10
GAUSSIAN = f"""\
image: {{size: 4, channels: 1}}
backbone: {{type: parts/gain, times: {TIMES}}}
schedule: {{type: cosine, steps: {TIMES}}}
prediction: epsilon
sampling: {{sampler: ddpm, steps: 2}}
data: {{type: parts/gaussian, examples: 1000, std: {STD}}}
train: {{steps: 600, batch_size: 64, lr: 2e-2, ema: {{decay: 0.98}}, log_every: 100}}
"""


def test_learns_the_best_denoiser(tmp_path: Path, train_tiny: TrainTiny, parts: Path) -> None:
    """x₀ ~ N(0, s²), x_t = α·x₀ + σ·ε: E[ε | x_t] = g·x_t with g = σ / (α²s² + σ²), and the loss of that is
    α²s² / (α²s² + σ²) at each time. Nothing can be better, and this network can be exactly that."""
    folder = train_tiny(tmp_path / "run", text=GAUSSIAN).folder
    pipe = diffloom.load(folder, plugins=(str(parts),), device="cpu")
    t = torch.arange(TIMES, dtype=torch.float64)
    alpha, sigma = pipe.schedule.alpha(t), pipe.schedule.sigma(t)
    signal = (alpha * STD) ** 2
    learned = pipe.backbone.gain.weight.detach().double()[:, 0]
    # Each gain averages some 60 batches: of 64 · 16 / 10 numbers each, so that 4 standard errors are below 0.05.
    torch.testing.assert_close(learned, sigma / (signal + sigma**2), atol=0.05, rtol=0.05)
    best = float((signal / (signal + sigma**2)).mean())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] > 1.05 * best  # the first rows are those of a network that begins with 0
    # A row is the mean of 100 · 64 · 16 squared errors, each of a chi-squared spread around its time's best.
    assert rows[-1]["loss"] == pytest.approx(best, rel=0.03)


def test_gradients_are_clipped_as_by_torch(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """One plain step, taken here by hand with torch's own clipping: the same first moments, norm and weights."""
    clip = 0.01
    one = ("train.steps=1", f"train.grad_clip={clip}", "train.sample_every=null", "backbone.dropout=0.0")
    folder = train_tiny(tmp_path / "run", *one).folder
    free = train_tiny(tmp_path / "free", *one[::2], "train.grad_clip=null", one[3]).folder
    (row,) = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clipped, whole = (open_checkpoint(RunFolder(f).latest() or f).group("optimizer") for f in (folder, free))
    names = [name for name in whole if name.endswith("/exp_avg")]
    # After one step AdamW's first moment is (1 − β₁)·gradient.
    weights = [torch.nn.Parameter(torch.zeros_like(whole[name])) for name in names]
    for weight, name in zip(weights, names, strict=True):
        weight.grad = whole[name] / (1 - 0.9)
    norm = torch.nn.utils.clip_grad_norm_(weights, clip)
    assert row["grad_norm"] == pytest.approx(float(norm), rel=1e-5)  # the norm before clipping
    assert float(norm) > clip
    for weight, name in zip(weights, names, strict=True):
        torch.testing.assert_close(clipped[name] / (1 - 0.9), weight.grad, rtol=1e-5, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**63), st.integers(1, 12), st.integers(1, 11))
def test_draws_do_not_depend_on_the_split(seed: int, size: int, cut: int) -> None:
    """What an example is trained with is keyed by its position: noise and times are bit-equal in any batch."""
    cut = min(cut, size)
    whole = Draws.of(seed, range(size))
    parts = [Draws.of(seed, range(cut)), Draws.of(seed, range(cut, size))]
    noise = torch.cat([part.normal("noise", (2, 3)) for part in parts if part.keys])
    times = torch.cat([part.uniform("time") for part in parts if part.keys])
    assert torch.equal(noise, whole.normal("noise", (2, 3)))
    assert torch.equal(times, whole.uniform("time"))


@pytest.mark.parametrize("log_every", [1, 100])
def test_nan_stops_the_run(tmp_path: Path, train_tiny: TrainTiny, log_every: int) -> None:
    """The message names the step and what is left; nothing that is not finite was saved or logged."""
    run = RunFolder(tmp_path / "run")
    use = ("data.examples=40", "data.nan_at=3", f"train.log_every={log_every}", "train.checkpoint_every=1")
    with pytest.raises(NonFiniteLossError) as caught:
        train_tiny(run.path, *use)
    latest = run.latest()
    assert latest is not None
    bad = open_checkpoint(latest).step + 1
    assert 2 <= bad <= 10  # 40 examples in batches of 4: met within the first epoch
    assert str(caught.value).startswith(
        f"step {bad}: the loss or its gradient is NaN or infinite; the last good checkpoint is {latest}. "
        "The picture of "
    )
    assert caught.value.exit_code == 3
    for group in ("weights", "ema", "optimizer"):
        assert all(torch.isfinite(tensor).all() for tensor in open_checkpoint(latest).group(group).values())
    assert "NaN" not in run.metrics.read_text()


def test_nan_stops_the_very_step(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU, where looking costs nothing, no step follows the bad one."""
    taken: list[int] = []
    update = Average.update
    monkeypatch.setattr(Average, "update", lambda ema, step: (taken.append(step), update(ema, step)))
    use = ("data.examples=40", "data.nan_at=3", "train.log_every=100", "train.sample_every=null")
    with pytest.raises(NonFiniteLossError, match=r"^step (\d+)") as caught:
        train_tiny(tmp_path / "run", *use, "train.checkpoint_every=100")
    assert str(caught.value).startswith(f"step {taken[-1] + 1}: ")


def test_nan_before_any_checkpoint(tmp_path: Path, train_tiny: TrainTiny) -> None:
    with pytest.raises(NonFiniteLossError, match=r"step 1: .*; no checkpoint was written yet"):
        train_tiny(tmp_path / "run", "data.examples=1", "data.nan_at=0")


def test_initial_weights_and_order_follow_the_seed(tmp_path: Path, train_tiny: TrainTiny) -> None:
    digests = {
        name: open_checkpoint(
            train_tiny(tmp_path / name, "train.steps=2", f"train.seed={seed}").checkpoint
        ).digest("ema")
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    assert digests["a"] == digests["b"] != digests["c"]


def test_frozen_parts_are_saved_once_and_not_trained(
    tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A space with weights, like an autoencoder: they are in the checkpoint, never change, and have no average."""
    from diffloom_pixel.space import Pixel

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor([2.0]))

        def encode(self, images_BCHW: torch.Tensor) -> torch.Tensor:
            return images_BCHW / self.scale

        def decode(self, x_BCHW: torch.Tensor) -> torch.Tensor:
            return x_BCHW * self.scale

    monkeypatch.setattr(Pixel, "build", lambda self, image: Scaled())
    checkpoint = open_checkpoint(train_tiny(tmp_path / "run", "train.steps=5").checkpoint)
    assert {name: tensor.tolist() for name, tensor in checkpoint.group("frozen").items()} == {
        "space.scale": [2.0]
    }
    for group in ("weights", "ema", "optimizer"):
        assert not [name for name in checkpoint.group(group) if name.startswith("space.")]
    assert "space.scale" in checkpoint.tensors("ema")
    running = "backbone.norm.running_mean"  # a buffer that training changes: the same in both
    assert torch.equal(checkpoint.group("ema")[running], checkpoint.group("weights")[running])
    assert checkpoint.group("weights")[running].abs().sum() > 0

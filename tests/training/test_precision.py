"""What computes in which precision. Oracles: torch's autocast and GradScaler by hand, and the run in float32.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffloom import config
from diffloom.checkpoint import open_checkpoint
from diffloom.config import Document
from diffloom.errors import ConfigError, NonFiniteLossError
from diffloom.plugins import Plugins
from diffloom.process import Draws
from diffloom.training import Trained
from diffloom.training.engine import Engine
from diffloom.training.loop import LONG_ROW, Loop
from diffloom.training.opening import Opening
from diffloom.training.precision import LossScaler, products
from diffloom.training.preparation import prepare
from diffloom.training.run_folder import RunFolder

TrainTiny = Callable[..., Trained]
Outcome = Callable[[Path], dict[str, Any]]
STEADY = ("backbone=parts/steady", "train.sample_every=null", "train.lr=1e-3")
LATENT = ("image={size: 8, channels: 1}", "space={type: parts/codes}")
BF16_ROUNDING = 2.0**-8


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]


def first_losses(
    tiny: Path, plugins: Plugins, *overrides: str
) -> tuple[Any, Tensor, list[tuple[str, torch.dtype]]]:
    """A task, what its first batch costs, and what each of its linear layers and convolutions gave on the way."""
    document = config.load(tiny, overrides, registry=plugins.registry).document
    assert isinstance(document, Document)
    prepared = prepare(document)
    opening = Opening(prepared, plugins, Engine(prepared.train, device="cpu"))
    task = opening.task(filled=False)
    given: list[tuple[str, torch.dtype]] = []
    for name, module in task.module.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(lambda _, __, out, name=name: given.append((name, out.dtype)))
    feed = opening.feed(task, None)
    (batch,) = next(feed.steps(first_step=0, last_step=1))
    losses = task.losses(batch, Draws.of(0, batch.positions), step=1)
    return task, losses.each_B, given


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_networks_alone_are_in_half(tiny: Path, plugins: Plugins, precision: str) -> None:
    """The backbone's layers compute in the half precision; encoder, loss and gradients in float32."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    task, each_B, given = first_losses(tiny, plugins, *STEADY, *LATENT, f"train.precision={precision}")
    _, exact_B, exact = first_losses(tiny, plugins, *STEADY, *LATENT)
    assert {name.partition(".")[0]: dtype for name, dtype in given} == {
        "space": torch.float32,
        "backbone": half,
    }
    assert {dtype for _, dtype in exact} == {torch.float32}
    assert each_B.dtype == torch.float32
    assert not torch.equal(each_B, exact_B)
    torch.testing.assert_close(
        each_B, exact_B, rtol=0, atol=10 * BF16_ROUNDING * float(exact_B.detach().max())
    )
    each_B.sum().backward()
    assert {p.grad.dtype for p in task.module.parameters() if p.grad is not None} == {torch.float32}


def test_the_network_s_own_estimate_costs_no_gradient(tiny: Path, plugins: Plugins) -> None:
    """Self-conditioning calls the network without gradients first. Autocast keeps what it has cast: what was cast then
    would give the weights no gradient in half of the examples. Oracle: the gradients in float32."""
    file = Path(tiny.parent / "self.yaml")
    text = tiny.read_text().replace(
        "backbone: parts/perceptron",
        (
            "backbone: {type: unet, channels: [8], blocks_per_level: 1, head_channels: 8, norm_groups: 4, "
            "attention_resolutions: [], self_conditioning: true}\nobjective: {type: simple, self_conditioning: true}"
        ),
    )
    file.write_text(text)
    gradients = []
    for precision in ("fp32", "bf16"):
        task, each_B, _ = first_losses(file, plugins, "train.batch_size=16", f"train.precision={precision}")
        each_B.mean().backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in task.module.parameters() if p.grad is not None])
        )
    exact, half = gradients
    assert torch.nn.functional.cosine_similarity(exact, half, dim=0) > 0.99
    assert float(half.norm() / exact.norm()) == pytest.approx(1, abs=0.05)


def test_bf16_learns_what_float32_learns(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Weights, averages and moments stay in float32, near those of the exact run."""
    exact = open_checkpoint(train_tiny(tmp_path / "exact", *STEADY).checkpoint)
    half = open_checkpoint(train_tiny(tmp_path / "half", *STEADY, "train.precision=bf16").checkpoint)
    for group in ("weights", "ema", "optimizer"):
        assert {t.dtype for t in half.group(group).values() if t.is_floating_point()} <= {
            torch.float32,
            torch.float64,
        }
    for name, weight in exact.group("weights").items():
        # Twenty steps of at most 1e-3 each; Adam makes a step of any gradient, whose sign rounding may turn where it is
        # near 0.
        torch.testing.assert_close(half.group("weights")[name], weight, rtol=0, atol=2e-3)
    assert half.digest("weights") != exact.digest("weights")


@pytest.fixture(params=[True, False])
def flags(request: pytest.FixtureRequest) -> Iterator[bool]:
    """torch's own flags, both as the user has set them."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = request.param
    yield request.param
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_tf32_is_what_the_file_says_while_a_run_lasts(
    *, tmp_path: Path, train_tiny: TrainTiny, monkeypatch: pytest.MonkeyPatch, precision: str, flags: bool
) -> None:
    seen: list[tuple[bool, bool]] = []
    take = Loop._step

    def step(loop: Loop, passes: Any) -> Any:
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return take(loop, passes)

    monkeypatch.setattr(Loop, "_step", step)
    train_tiny(tmp_path / "run", *STEADY, "train.steps=1", f"train.precision={precision}")
    assert seen == [(precision == "tf32", precision == "tf32")]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (flags, flags)


def test_flags_come_back_after_an_error() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(ZeroDivisionError), products("tf32"):
        raise ZeroDivisionError
    assert torch.backends.cuda.matmul.allow_tf32 is before


def test_the_scaler_is_torch_s() -> None:
    """Against GradScaler as its documentation uses it, over gradients of which some overflow."""
    draws = torch.Generator().manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(3)) for _ in range(2))
    mine, other = (torch.optim.AdamW([weight], lr=0.1) for weight in (ours, theirs))
    scaler, peer = LossScaler("fp16", torch.device("cpu")), torch.amp.GradScaler("cpu")
    moved = []
    for _ in range(12):
        size = torch.randn(3, generator=draws) * (
            float("inf") if torch.rand((), generator=draws) < 0.3 else 1
        )
        before = ours.detach().clone()
        scaler.scaled((ours * size).sum()).backward()  # type: ignore[no-untyped-call]
        peer.scale((theirs * size).sum()).backward()
        scaler.unscale(mine)
        peer.unscale_(other)
        moved.append(scaler.step(mine))
        peer.step(other)
        peer.update()
        assert moved[-1] is not torch.equal(ours, before)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        assert float(scaler.tensors()["scale"]) == peer.get_scale()
        for each in (mine, other):
            each.zero_grad()
    assert 0 < scaler.skipped == moved.count(False) < len(moved)


LOUD = (
    *STEADY,
    "backbone.loudness=1000",
    "train.precision=fp16",
    "train.log_every=1",
    "train.lr_schedule.warmup_steps=0",
)


def test_a_step_that_overflows_is_left_out(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """Weights and averages stay, the rows count it, and the steps after it are taken."""
    run = RunFolder(
        train_tiny(tmp_path / "run", *LOUD, "train.checkpoint_every=1", "train.keep_checkpoints=99").folder
    )
    saved = [open_checkpoint(path) for path in run.saved()]
    scales = [float(checkpoint.group("scaler")["scale"]) for checkpoint in saved]
    skipped = [after < before for before, after in pairwise([2.0**16, *scales])]
    assert skipped[0]
    assert not all(skipped)
    for number, (before, after) in enumerate(pairwise(saved), 1):
        for group in ("weights", "ema"):
            assert (before.digest(group) == after.digest(group)) is skipped[number]
    told = {int(row["step"]): row["skipped_steps"] for row in rows(run.path)}
    assert list(told) == [step for step, is_skipped in enumerate(skipped, 1) if not is_skipped]
    assert sum(told.values()) == sum(skipped)


def test_scaling_goes_on_bit_for_bit(
    tmp_path: Path, train_tiny: TrainTiny, outcome: Outcome, monkeypatch: Any
) -> None:
    """Stopped among the steps that are left out, where scale and counts are all there is to keep."""
    train_tiny(tmp_path / "whole", *LOUD, "train.checkpoint_every=2")
    take = Loop._step

    def step(loop: Loop, passes: Any) -> Any:
        if loop.state.step == 3:
            raise InterruptedError
        return take(loop, passes)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", step)
        with pytest.raises(InterruptedError):
            train_tiny(tmp_path / "run", *LOUD, "train.checkpoint_every=2")
    train_tiny(tmp_path / "run", *LOUD, "train.checkpoint_every=2", resume=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_long_row_of_overflows_ends_the_run(tmp_path: Path, train_tiny: TrainTiny) -> None:
    """No scale helps where the network itself leaves fp16: that is said, and not tried for ever."""
    with pytest.raises(NonFiniteLossError) as caught:
        train_tiny(tmp_path / "run", *LOUD, "backbone.loudness=1e30", f"train.steps={LONG_ROW + 20}")
    assert str(caught.value).startswith(
        f"step {LONG_ROW}: the gradients of {LONG_ROW} steps in a row overflowed in fp16; the last good checkpoint is "
    )
    assert caught.value.exit_code == 3
    assert rows(tmp_path / "run") == []


def test_fp16_is_refused_where_gradients_are_compared(tmp_path: Path, train_tiny: TrainTiny) -> None:
    text = """\
image: {size: 8, channels: 1}
space: parts/codes
autoencoder: {criteria: [lp], regularisation: 0.02}
data: parts/gaussian
train: {steps: 2, batch_size: 2, lr: 1e-3, precision: fp16}
"""
    with pytest.raises(ConfigError, match=r"train\.precision: .*; take bf16 for an autoencoder"):
        train_tiny(tmp_path / "run", text=text)
    assert train_tiny(tmp_path / "half", text=text.replace("fp16", "bf16")).step == 2

"""`verify-resume` finds what a resume loses, and says where. Oracle: state that a test takes away, piece by piece."""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from diffloom.cli import diffloom as command
from diffloom.errors import RunError
from diffloom.process import Draws
from diffloom.training import state as states
from diffloom.training.feed import Feed
from diffloom.training.meter import Meter
from diffloom.training.precision import LossScaler
from diffloom.training.state import TrainState
from diffloom.verification import Verdict, verify_resume
from diffloom.verification.session import Session

Verify = Callable[..., Verdict]
AVERAGES = "train.further_ema={fast: {type: exponential, decay: 0.5}, slow: {type: exponential, decay: 0.9}}"


def forked(session: Session, log: Path) -> int:
    """The session in a process forked from this one, so that it has what a test has patched, and torch at once."""
    pid = os.fork()
    if pid == 0:
        sys.stderr = log.open("w", buffering=1)
        code = 1
        try:
            session.run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(scope="module", autouse=True)
def warm(train_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """What training imports is imported here once, and not again in each process."""
    train_tiny(tmp_path_factory.mktemp("warm") / "run", "train.steps=1")


@pytest.fixture
def verify(tmp_path: Path, tiny: Path, parts: Path) -> Verify:
    """Tries the tiny model."""

    def run(*overrides: str, steps: int = 8, file: Path = tiny) -> Verdict:
        return verify_resume(
            str(file),
            overrides,
            steps=steps,
            folder=tmp_path / "trial",
            plugins=(str(parts),),
            device="cpu",
            start=forked,
        )

    return run


def test_nothing_is_lost(verify: Verify) -> None:
    verdict = verify(AVERAGES, "train.workers=2", "train.sample_every=4", "train.micro_batch_size=2")
    assert verdict.equal, str(verdict)
    assert [stage.name for stage in verdict.stages] == ["before", "restored", "after"]
    told = str(verdict).splitlines()
    assert told[-1] == "equal bit for bit: this configuration can be killed and resumed"
    compared = {line.split()[0] for line in told[3:-2]}
    assert compared >= {
        "examples",
        "metrics.jsonl",
        "step",
        "weights",
        "ema",
        "ema:fast",
        "ema:slow",
        "optimizer",
        "meter",
    }
    assert "samples/" in compared
    assert not any("DIFFERS" in line for line in told)


AUTOENCODER = """\
image: {size: 8, channels: 1}
space: parts/codes
autoencoder:
  criteria:
    - lp
    - {type: patch_adversarial, weight: 0.3, start_step: 3, layers: 1, channels: 4, norm_groups: 2}
data: parts/gaussian
train: {steps: 20, batch_size: 4, lr: 1e-2, ema: {decay: 0.9}}
"""


def test_an_autoencoder(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "autoencoder.yaml").write_text(AUTOENCODER)
    verdict = verify(file=tmp_path / "autoencoder.yaml")
    assert verdict.equal, str(verdict)


STREAM = """\
image: {size: 4, channels: 1}
backbone: parts/perceptron
schedule: {type: linear, steps: 1000}
prediction: epsilon
sampling: {sampler: ddpm, steps: 2}
data: {type: hugging_face, path: PATH, streaming: true, shuffle_buffer: 7, flip: true, cache: CACHE}
train: {steps: 20, batch_size: 4, lr: 1e-2, workers: 1}
"""


def test_a_stream(verify: Verify, tmp_path: Path) -> None:
    """Shuffled, read by a worker, in its second epoch by the time of the kill."""
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)) for _ in range(15)]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": pictures}, features=features).to_parquet(tmp_path / "data.parquet")
    text = STREAM.replace("PATH", str(tmp_path / "data.parquet")).replace("CACHE", str(tmp_path / "cache"))
    (tmp_path / "stream.yaml").write_text(text)
    verdict = verify(file=tmp_path / "stream.yaml")
    assert verdict.equal, str(verdict)


def forget(monkeypatch: pytest.MonkeyPatch, lose: Callable[[TrainState], None]) -> None:
    """After a checkpoint is loaded, something of it is lost."""
    load = TrainState.load

    def crippled(state: TrainState, checkpoint: Any) -> None:
        load(state, checkpoint)
        lose(state)

    monkeypatch.setattr(TrainState, "load", crippled)


@torch.no_grad()
def lose_a_weight(state: TrainState) -> None:
    next(iter(state.parameters.values())).zero_()


def lose_an_average(state: TrainState) -> None:
    with state.averages["slow"].applied():
        lose_a_weight(state)


def lose_moments(state: TrainState) -> None:
    for slots in state.optimizer.state.values():
        slots["exp_avg_sq"].zero_()


def lose_step_counts(state: TrainState) -> None:
    for slots in state.optimizer.state.values():
        slots["step"].zero_()


def lose_the_meter(state: TrainState) -> None:
    state.meter = Meter(torch.device("cpu"))


def lose_the_scale(state: TrainState) -> None:
    state.scaler = LossScaler("fp16", torch.device("cpu"))


def lose_the_step(state: TrainState) -> None:
    state.step -= 1


@pytest.mark.parametrize(
    ("lose", "name", "cause"),
    [
        (lose_a_weight, "weights", "the weights are not restored"),
        (lose_an_average, "ema:slow", "the average `ema:slow` is not restored"),
        (lose_moments, "optimizer", "the optimiser is not restored"),
        (lose_step_counts, "optimizer", "the optimiser is not restored"),
        (lose_the_meter, "meter", "the sums between two rows of metrics are not restored"),
        (lose_the_scale, "scaler", "the scale of fp16's loss is not restored"),
        (lose_the_step, "step", "the step is not restored"),
    ],
)
def test_what_is_saved_and_not_restored(
    *,
    verify: Verify,
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[TrainState], None],
    name: str,
    cause: str,
) -> None:
    forget(monkeypatch, lose)
    verdict = verify(AVERAGES, f"train.precision={'fp16' if name == 'scaler' else 'fp32'}")
    assert verdict.first is not None
    stage, found = verdict.first
    assert (stage.name, found.name) == ("restored", name)
    assert f"likely cause: {cause}" in str(verdict)


def test_the_tensor_and_how_far_it_is(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, lose_step_counts)
    verdict = verify()
    assert verdict.first is not None
    assert verdict.first[1].difference == (
        "backbone.classes.weight/step: 1 of 1 number differ, by up to 4"  # four steps were counted
    )


def test_what_is_not_saved(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimiser's moments are in no checkpoint: the first row after the kill is another."""
    monkeypatch.setattr(states, "optimizer_tensors", lambda *_: {})
    verdict = verify()
    assert verdict.first is not None
    stage, found = verdict.first
    assert (stage.name, found.name) == ("after", "metrics.jsonl")
    assert "an optimiser whose state_dict() leaves something out" in str(verdict)


def test_another_order_after_a_resume(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that shuffles anew when it starts."""
    steps = Feed.steps

    def reshuffling(feed: Feed, *, first_step: int, last_step: int) -> Any:
        object.__setattr__(feed, "seed", feed.seed + first_step)
        return steps(feed, first_step=first_step, last_step=last_step)

    monkeypatch.setattr(Feed, "steps", reshuffling)
    verdict = verify()
    assert verdict.first is not None
    stage, found = verdict.first
    assert (stage.name, found.name) == ("after", "examples")
    assert found.difference == "step 5: in the resumed run position 16 has another example"
    assert "the place in the data is not gone on from" in str(verdict)


def test_noise_that_counts_from_the_start(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that depend on how long the process has been at it."""
    of, calls = Draws.of, itertools.count()
    monkeypatch.setattr(Draws, "of", lambda seed, positions: of(seed + next(calls), positions))
    verdict = verify()
    assert verdict.first is not None
    stage, found = verdict.first
    assert (stage.name, found.name) == ("after", "metrics.jsonl")
    assert found.difference is not None
    assert found.difference.startswith("the row of step 6: ")
    assert "a random number not keyed by `draws` or the step" in str(verdict)


def test_noise_that_no_two_processes_share(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    of = Draws.of
    monkeypatch.setattr(Draws, "of", lambda seed, positions: of(seed + os.getpid(), positions))
    verdict = verify()
    assert verdict.first is not None
    assert verdict.first[0].name == "before"
    assert "torch.use_deterministic_algorithms(True)" in str(verdict)


def test_a_run_that_fails_is_shown(verify: Verify) -> None:
    with pytest.raises(
        RunError, match=r"^the straight run ended with exit code 1 .*:\n(.*\n)*.*step 1: the loss"
    ):
        verify("data.nan_at=3", "data.examples=4")


def test_the_command_tells_and_keeps_both_runs(
    tmp_path: Path, tiny: Path, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and with -o the folder to look into."""
    forget(monkeypatch, lose_moments)
    monkeypatch.setitem(verify_resume.__kwdefaults__, "start", forked)
    words = ["verify-resume", str(tiny), "-p", str(parts), "--device", "cpu", "-o", str(tmp_path / "kept")]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 1
    assert "\nfirst difference: restored: optimizer: " in done.output
    assert {"straight", "killed", "restored.safetensors"} <= {
        path.name for path in (tmp_path / "kept").iterdir()
    }
    again = CliRunner().invoke(command, words)
    assert isinstance(again.exception, RunError)
    assert str(again.exception) == f"{tmp_path / 'kept'}: exists already; choose another -o"

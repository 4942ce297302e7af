"""What `verify-resume` refuses, and the command with processes of its own. Oracle: its exit codes and messages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from diffloom.cli import diffloom as command
from diffloom.errors import ConfigError, RunError
from diffloom.verification import Verdict, verify_resume

Verify = Callable[..., Verdict]


@pytest.fixture
def verify(tmp_path: Path, tiny: Path, parts: Path) -> Verify:
    """Tries the tiny model."""

    def run(*overrides: str, steps: int = 8) -> Verdict:
        folder = tmp_path / "trial"
        return verify_resume(
            str(tiny), overrides, steps=steps, folder=folder, plugins=(str(parts),), device="cpu"
        )

    return run


@pytest.mark.parametrize("steps", [2, 7, 22])
def test_numbers_of_steps_that_cannot_be(verify: Verify, steps: int) -> None:
    with pytest.raises(RunError) as caught:
        verify(steps=steps)
    assert str(caught.value) == f"--steps {steps}: must be an even number from 4 to train.steps (20)"


def test_what_the_trial_sets_itself(verify: Verify) -> None:
    with pytest.raises(RunError, match=r"^train\.checkpoint_every: is set by the trial"):
        verify("train.checkpoint_every=3")


def test_no_training(verify: Verify) -> None:
    with pytest.raises(ConfigError):
        verify("train=null")


def test_under_a_launcher(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match=r"^the trial is one process at a time; start it without a launcher$"):
        verify()


def test_the_command(tmp_path: Path, tiny: Path, parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With processes of its own; nothing of theirs stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    words = ["verify-resume", str(tiny), "-p", str(parts), "--device", "cpu", "--steps", "4"]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.exit_code == 0
    title, *_, last = done.output.splitlines()
    assert title == f"{tiny}: 4 steps straight, against 2, SIGKILL one step later, and on to 4"
    assert last == "equal bit for bit: this configuration can be killed and resumed"
    assert list(tmp_path.iterdir()) == []

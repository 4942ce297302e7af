"""A trained run for the commands that read one: two steps of a small digits model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from diffloom import config
from diffloom.cli import diffloom as command
from diffloom.errors import DiffloomError
from diffloom.plugins import load_plugins
from diffloom.training import train

TINY = (
    "backbone.channels=[8,16]",
    "backbone.blocks_per_level=1",
    "backbone.head_channels=8",
    "backbone.norm_groups=4",
    "train.steps=2",
    "train.batch_size=4",
    "train.warmup_steps=0",
    "train.sample_every=null",
)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, configs: Path) -> Path:
    """A finished run. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    plugins = load_plugins()
    train(
        config.load(configs / "digits.yaml", TINY, registry=plugins.registry),
        folder,
        plugins=plugins,
        device="cpu",
    )
    return folder


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run the command in this process, a user's mistake told as `main` tells it."""

    def call(*words: object) -> Result:
        result = CliRunner().invoke(command, [str(word) for word in words])
        if isinstance(result.exception, DiffloomError):
            return Result(
                runner=result.runner,
                stdout_bytes=result.stdout_bytes,
                stderr_bytes=f"error: {result.exception}\n".encode(),
                output_bytes=f"error: {result.exception}\n".encode(),
                return_value=None,
                exit_code=result.exception.exit_code,
                exception=None,
            )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call

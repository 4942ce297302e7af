"""How tests call the command."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from diffloom.cli import diffloom as command
from diffloom.errors import DiffloomError


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

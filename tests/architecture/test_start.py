"""Start-up answers at once. Oracle: a clock, help and torch in turn, so that a busy machine slows both."""

import statistics
import subprocess
import sys
import time

import pytest


def seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - began


def test_help_takes_less_than_a_fifth_of_importing_torch():
    help_seconds, torch_seconds = [], []
    for _ in range(3):
        help_seconds.append(seconds("-m", "diffloom", "--help"))
        torch_seconds.append(seconds("-c", "import torch"))
    assert statistics.median(help_seconds) < statistics.median(torch_seconds) / 5


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["train", "--help"],
        ["sample", "--help"],
        ["plugins", "list"],
        ["config", "check", "diffloom:digits"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_a_command_that_computes_nothing_imports_no_torch(command):
    program = (
        "import sys; from diffloom.cli import main\n"
        f"sys.argv = ['diffloom', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()

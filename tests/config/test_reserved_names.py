"""No condition is called like what stands beside it. Oracle: the signatures and the commands themselves."""

import inspect

import click
import pytest

from diffloom import Pipeline
from diffloom.cli.sample import sample
from diffloom.cli.samplers import bake_off
from diffloom.config.rules.shapes import RESERVED
from diffloom.likelihood import picture_bits


@pytest.mark.parametrize(
    "function",
    [
        Pipeline.sample,
        Pipeline.sample_to,
        Pipeline.batches,
        Pipeline.stream,
        Pipeline.denoise,
        Pipeline.invert,
        picture_bits,
    ],
    ids=lambda function: function.__name__,
)
def test_arguments(function):
    named = {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY)
    }
    assert named <= RESERVED


@pytest.mark.parametrize("command", [sample, bake_off], ids=lambda command: command.name)
def test_options(command):
    words = {
        word.removeprefix("--").replace("-", "_")
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for word in (*parameter.opts, *parameter.secondary_opts)
        if word.startswith("--")
    }
    assert words <= RESERVED

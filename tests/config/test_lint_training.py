"""What cannot work together in `train`. Oracle: exact messages with their places."""

from __future__ import annotations

import pytest

from diffloom.config import lint, parse
from diffloom.errors import ConfigError
from diffloom.registry import Registry

SQUARES = "ema: {type: square, gamma: 2}, further_ema: {wide: {type: square, gamma: 1}}"


def text(complete: str, train: str) -> str:
    """The complete file with more in `train`."""
    (start, _) = complete.split("train:")
    return f"{start}train: {{steps: 1000, batch_size: 64, lr: 1e-4, {train}}}\n"


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        (
            "lr_schedule: {type: falling, last_steps: 1001}",
            "13:61: train.lr_schedule: it falls for 1001 of 1000 steps",
        ),
        (
            "parallel: sharded, optimizer: whole",
            "13:78: train.optimizer: diffloom/whole cannot work on shares of weights; set train.parallel: data, or "
            "take another optimiser, such as adamw",
        ),
        (
            "further_ema: {raw: exponential}",
            "13:67: train.further_ema.raw: 'raw' cannot be an average's name: `ema` and `raw` are taken, and names are "
            "letters, digits, `_`, `-` and `.`; call it something else",
        ),
        (
            "further_ema: {fast/er: exponential}",
            "13:71: train.further_ema.fast/er: 'fast/er' cannot be an average's name: `ema` and `raw` are taken, and "
            "names are letters, digits, `_`, `-` and `.`; call it something else",
        ),
        (
            "further_ema: {'': exponential}",
            "13:61: train.further_ema: '' cannot be an average's name: `ema` and `raw` are taken, and names are "
            "letters, digits, `_`, `-` and `.`; call it something else",
        ),
        (
            "snapshot_every: 5, ema: square, further_ema: {same: square, other: exponential}",
            "13:64: train.snapshot_every: snapshots are for `diffloom ema reconstruct`, which needs two averages of "
            "type `power` with different widths; set train.ema: {type: power, sigma_rel: 0.05} and train.further_ema: "
            "{wide: {type: power, sigma_rel: 0.1}}, or remove this key",
        ),
    ],
)
def test_refused(registry: Registry, complete: str, train: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text(complete, train), name="f", registry=registry)
    assert str(caught.value) == f"f:{problem}"


@pytest.mark.parametrize(
    "train",
    [
        "lr_schedule: {type: falling, last_steps: 1000}",
        "parallel: sharded",
        "optimizer: whole",
        "further_ema: {fast-er_2.0: exponential, '9': square}",
        f"snapshot_every: 5, {SQUARES}",
        "snapshot_every: 5, further_ema: {a: square, b: {type: square, gamma: 3}, c: exponential}",
    ],
)
def test_accepted(registry: Registry, complete: str, train: str) -> None:
    assert lint(parse(text(complete, train), name="f", registry=registry).document) == ()

"""Where each value comes from. Oracle: the configuration's own account, `Resolved.origin`, as it was when read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from diffloom.config import Resolved
from diffloom.report.account import read_account
from diffloom.report.settings import Setting, differences, settings
from diffloom.training.environment import CHOSEN


def origins(folder: Path) -> dict[str, str]:
    return {line.path: line.origin for line in read_account(folder, name="run").settings if line.path}


def test_every_value_says_where_it_is_from(run: Path, resolved: Resolved) -> None:
    found = origins(run)
    learned = {path for path, origin in found.items() if origin == "learned from the data"}
    assert learned == {"conditioners.label.classes"}
    chosen = {path for path, origin in found.items() if origin == CHOSEN}
    assert chosen == {"train.precision", "train.convolutions"}
    for path in found.keys() - learned - chosen:
        assert found[path] == resolved.origin(path)
    assert found["train.lr"] == "override 'train.lr=0.004'"
    assert found["train.steps"].endswith("small.yaml:5:10")
    assert found["schedule.type"].startswith("diffloom:digits:")
    assert found["train.grad_clip"] == "default"
    assert found["plugins.diffloom"] == "installed"


def test_the_lines_are_the_configuration(run: Path) -> None:
    account = read_account(run, name="run")
    text = "".join(f"{line.text}\n" for line in account.settings)
    assert text == (run / "config.resolved.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == account.config


def test_without_an_account_nothing_is_claimed(copied: Path) -> None:
    (copied / "environment.json").unlink()
    assert set(origins(copied).values()) == {""}


@pytest.mark.parametrize("count", [2, 3])
def test_what_tells_runs_apart(count: int) -> None:
    configs = [
        {"train": {"lr": 0.1 * n, "steps": 5}, **({"latents": "x"} if n == 1 else {})} for n in range(count)
    ]
    runs: list[list[Setting]] = [settings(config, None) for config in configs]
    found = {row.path: row.values for row in differences(runs)}
    assert found == {
        "train.lr": tuple(f"{0.1 * n}" for n in range(count)),
        "latents": tuple("x" if n == 1 else "" for n in range(count)),
    }
    assert differences(runs[:1] * 2) == []

"""How a tracker begins, and what it refuses. Oracle: the library's own error where there is one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from diffloom import RunInfo
from diffloom.errors import DiffloomError
from diffloom.kinds import Tracker
from diffloom_trackers import MLflow, WeightsAndBiases, wandb_run
from diffloom_trackers.parameters import parameters
from diffloom_trackers.wandb_folder import WandbFolder

Info = Callable[[int], RunInfo]


def test_a_missing_library_is_named(
    tracker: str, configured: dict[str, Tracker], info: Info, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(
        DiffloomError, match=rf"not installed; `pip install 'diffloom\[{tracker}\]'` brings it"
    ):
        configured[tracker].build(info(0))


def test_wandb_mode_is_honoured(folder: Path, info: Info, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    WeightsAndBiases().build(info(0)).close("finished")
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_nobody_is_asked_for_a_key(folder: Path, info: Info, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    with pytest.raises(
        DiffloomError, match=r"^train\.trackers: wandb: (?s:.*); mend that, or set `mode: offline`"
    ):
        WeightsAndBiases(mode="online").build(info(0))


def test_offline_sessions_that_were_killed_are_removed(folder: Path) -> None:
    """Sessions of one second have a number behind their names; those of other runs are theirs."""
    wandb = WandbFolder(folder)
    for name, last_step in (
        ("20260101_000000-{}", 4),
        ("20260101_000000-{}-1", 9),
        ("20260101_000005-{}", None),
    ):
        session = wandb.path / f"offline-run-{name.format(wandb.run_id)}"
        session.mkdir()
        (session / f"run-{wandb.run_id}.wandb").write_bytes(b":W&B")
        if last_step is not None:
            with wandb.written(session, last_step=last_step):
                (session / f"run-{wandb.run_id}.wandb").write_bytes(b":W&B and more")
    (wandb.path / "offline-run-20260101_000000-somebody").mkdir()
    again = WandbFolder(folder)
    assert again.keep_ended() == 9
    assert sorted(path.name[28:] for path in wandb.path.glob("offline-run-*")) == sorted(
        ["somebody", wandb.run_id, f"{wandb.run_id}-1"]
    )


class Server:
    """A stand-in for the library and a server that has a run already, up to its step 5: nothing else is reachable."""

    Error = RuntimeError
    offline = False
    starting_step = 6

    class AlertLevel:
        WARN = "WARN"

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.alerts: list[str] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None

    def init(self, **asked: Any) -> Server:
        self.asked = asked
        return self

    def Settings(self, **settings: Any) -> dict[str, Any]:  # noqa: N802
        return settings

    def log(self, news: dict[str, Any], *, step: int) -> None:
        self.logged.append((step, news))

    def alert(self, *, title: str, text: str, level: str) -> None:
        self.alerts.append(f"{level} {title}: {text}")

    def finish(self, *, exit_code: int) -> None:
        self.exit_code = exit_code


def test_a_server_is_told_what_it_lacks(folder: Path, info: Info, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after step 8 of which the server has heard up to 5, resumed after 7."""
    server = Server()
    monkeypatch.setattr(wandb_run, "imported", lambda *_, **__: server)
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tracking = WeightsAndBiases(project="moons", entity="us", run_name="first").build(info(7))
    tracking.figures(8, rows[7])
    tracking.finding(8, "ema-frozen", "it has not moved")
    tracking.close("interrupted")
    assert server.logged == [(step, {"loss": 1 / step}) for step in (6, 7, 8)]
    assert server.alerts == ["WARN ema-frozen: step 8: it has not moved"]
    assert server.exit_code == 255
    asked = {name: server.asked[name] for name in ("project", "entity", "name", "resume", "mode")}
    assert asked == {"project": "moons", "entity": "us", "name": "first", "resume": "allow", "mode": None}
    first_id = server.asked["id"]
    WeightsAndBiases().build(info(8))
    assert server.asked["id"] == first_id
    assert server.asked["name"] == "run", "the folder's name"


def test_a_password_in_an_address_is_refused() -> None:
    with pytest.raises(ValidationError, match="holds a password, and this file travels with the weights"):
        MLflow(tracking_uri="https://me:secret@mlflow.example.org")
    assert MLflow(tracking_uri="https://mlflow.example.org").tracking_uri == "https://mlflow.example.org"


def test_an_address_that_mlflow_does_not_know(folder: Path, info: Info) -> None:
    with pytest.raises(DiffloomError, match=r"^train\.trackers: mlflow at nowhere://here: "):
        MLflow(tracking_uri="nowhere://here").build(info(0))


def test_what_a_resumed_run_has_changed(folder: Path, info: Info) -> None:
    """MLflow's parameters never change, so the new value stands beside the old one."""
    from mlflow import MlflowClient

    config = MLflow(experiment="moons")
    config.build(info(0)).close("interrupted")
    longer = info(4).config.replace("steps: 12", "steps: 20")
    config.build(RunInfo(folder, longer, 4, 20)).close("finished")
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("moons")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["train.steps"] == "12"
    assert run.data.tags["changed.train.steps"] == "20"
    assert run.info.status == "FINISHED"
    path = client.download_artifacts(run.info.run_id, "config.resolved.yaml")
    assert Path(path).read_text() == longer


def test_parameters() -> None:
    text = (
        'a: {b: 1, c: [1, 2], "on": true}\nparts: [{type: x, w: 0.5}, {type: y}]\nempty: {}\nnothing: null\n'
    )
    assert parameters(text) == {
        "a.b": 1,
        "a.c": "[1, 2]",
        "a.on": True,
        "parts.0.type": "x",
        "parts.0.w": 0.5,
        "parts.1.type": "y",
        "empty": "{}",
        "nothing": "null",
    }

"""How the tests of trackers read back what was told: each by its library's own reader, all in one form."""

from __future__ import annotations

import json
import shutil
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from PIL import Image

from diffloom import RunInfo
from diffloom.kinds import Tracker
from diffloom_trackers import MLflow, TensorBoard, WeightsAndBiases

TRACKERS: dict[str, Tracker] = {
    "tensorboard": TensorBoard(),
    "wandb": WeightsAndBiases(mode="offline", project="moons", tags=("small", "grey")),
    "mlflow": MLflow(experiment="moons"),
}
BLOCK = 32768
"""Bytes in a block of the LevelDB log that a wandb file is."""


@dataclass
class Told:
    """What a tracker's program knows of a run."""

    rows: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Step → name → value."""
    pictures: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    """(name, step) → pixels."""
    findings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    end: str = ""
    doubles: list[str] = field(default_factory=list)
    """What it was told twice."""

    def figure(self, step: int, name: str, value: float) -> None:
        if name in self.rows[step]:
            self.doubles.append(f"{name} of step {step}")
        self.rows[step][name] = value

    def picture(self, name: str, step: int, picture: Image.Image) -> None:
        if (name, step) in self.pictures:
            self.doubles.append(f"{name} of step {step}")
        self.pictures[name, step] = np.asarray(picture.convert("RGB"))


Read: TypeAlias = Callable[[Path], Told]


def told_to_tensorboard(folder: Path) -> Told:
    """By TensorBoard's own EventAccumulator."""
    import io

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    told = Told()
    events = EventAccumulator(
        str(folder / "tensorboard"), size_guidance=dict.fromkeys(("scalars", "images", "tensors"), 0)
    )
    events.Reload()
    tags = events.Tags()
    for name in tags["scalars"]:
        for event in events.Scalars(name):
            told.figure(event.step, name, event.value)
    for name in tags["images"]:
        for event in events.Images(name):
            told.picture(name, event.step, Image.open(io.BytesIO(event.encoded_image_string)))
    for name in tags["tensors"]:
        texts = [(event.step, event.tensor_proto.string_val) for event in events.Tensors(name)]
        if name.startswith("findings/"):
            told.findings += [f"{step}: {text[0].decode()}" for step, text in texts]
        elif name.startswith("run/"):
            told.end = texts[-1][1][0].decode()
    content = events.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    start = metadata.parse_session_start_info_plugin_data(content)
    told.parameters = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    return told


def records(path: Path) -> Iterator[Any]:
    """The records of a wandb file: a LevelDB log of the library's own protocol buffers. A cut-off end is left out."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, begun = path.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        begun += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4) and at <= len(data):  # whole, or the last piece
            yield Record.FromString(begun)
            begun = b""


def told_to_wandb(folder: Path) -> Told:
    """By the records of all its offline sessions, as `wandb sync` would send them."""
    told = Told()
    for path in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                step = record.history.step.num
                for item in record.history.item:
                    (name, *inner), value = item.nested_key or [item.key], json.loads(item.value_json)
                    if inner == ["path"]:
                        told.picture(name, step, Image.open(path.parent / "files" / value))
                    elif not inner and not name.startswith("_"):
                        told.figure(step, name, float(value))
            elif kind == "alert":
                told.findings.append(record.alert.text.removeprefix("step "))
            elif kind == "run":
                told.parameters |= {
                    item.key: json.loads(item.value_json) for item in record.run.config.update
                }
                told.parameters |= {"project": record.run.project, "tags": list(record.run.tags)}
            elif kind == "summary":
                ends = [json.loads(item.value_json) for item in record.summary.update if item.key == "ended"]
                told.end = ends[-1] if ends else told.end
    return told


def told_to_mlflow(folder: Path) -> Told:
    """By MLflow's own client, from the database in the run's folder or from one beside it."""
    from mlflow import MlflowClient

    told = Told()
    database = next(
        path for path in (folder / "mlflow" / "mlflow.db", folder.parent / "mlflow.db") if path.exists()
    )
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("moons")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            told.figure(metric.step, name, metric.value)
    for item in client.list_artifacts(run.info.run_id, "images"):
        if item.path.endswith(".png"):
            name, _, step, *_ = Path(item.path).name.split("+")
            told.picture(name, int(step), Image.open(client.download_artifacts(run.info.run_id, item.path)))
    told.findings = [
        f"{name.split('.')[1]}: {text}"
        for name, text in sorted(run.data.tags.items())
        if name.startswith("finding.")
    ]
    told.parameters = dict(run.data.params)
    told.end = run.data.tags.get("ended", "")
    return told


READERS: dict[str, Read] = {
    "tensorboard": told_to_tensorboard,
    "wandb": told_to_wandb,
    "mlflow": told_to_mlflow,
}


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    """Nothing is sent to the libraries' makers, and nothing printed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
        }.items():
            patch.setenv(name, value)
        for name in ("WANDB_MODE", "WANDB_API_KEY", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest) -> str:
    """Each tracker's name in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def configured() -> dict[str, Tracker]:
    """Each tracker's configuration."""
    return TRACKERS


@pytest.fixture
def read(tracker: str) -> Read:
    """What the tracker's program knows of the run in a folder."""
    return READERS[tracker]


@pytest.fixture(scope="session")
def readers() -> dict[str, Read]:
    """The same for each tracker."""
    return READERS


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's, before anything is told: making its tables takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """A run's folder with nothing in it but an empty database."""
    folder = tmp_path / "run"
    (folder / "mlflow").mkdir(parents=True)
    shutil.copy(empty_database, folder / "mlflow")
    return folder


@pytest.fixture
def info(folder: Path) -> Callable[[int], RunInfo]:
    """The run as a tracker is told of it, when it goes on after a step."""
    config = "train:\n  steps: 12\n  lr: 0.004\n  trackers: []\nbackbone:\n  channels: [8, 16]\nplugins: {}\n"
    return lambda first_step: RunInfo(folder, config, first_step, 12)

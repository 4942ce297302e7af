"""A run told to MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from PIL.Image import Image

from diffloom import RunInfo
from diffloom.errors import DiffloomError
from diffloom_trackers.library import imported
from diffloom_trackers.mlflow import MLflow
from diffloom_trackers.parameters import parameters
from diffloom_trackers.recorded import tell_recorded

STATUSES = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
MOST_PARAMETERS, LONGEST = 100, 6000
"""How many parameters one request takes, and how many characters a parameter's value may have."""


class MlflowRun:
    """Figures become metrics by their step, pictures the charts of images, findings tags, the configuration parameters.

    What the run was told before it was resumed is not told again: MLflow keeps two values of one step side by side, and
    the steps that are taken again give the same numbers.
    """

    def __init__(self, config: MLflow, run: RunInfo) -> None:
        mlflow = imported("mlflow", extra="mlflow")
        self._entities = imported("mlflow.entities", extra="mlflow")
        folder = run.folder / "mlflow"
        folder.mkdir(exist_ok=True)
        own = config.tracking_uri is None and not mlflow.is_tracking_uri_set()
        uri = f"sqlite:///{folder.resolve() / 'mlflow.db'}" if own else config.tracking_uri
        try:
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            self._run_id = self._begun(
                folder / "run.json", "here" if own else self._client.tracking_uri, config, run
            )
            self._told, self._shown = self._told_before()
            self._parameters(run)
        except mlflow.exceptions.MlflowException as error:
            place = uri or mlflow.get_tracking_uri()
            raise DiffloomError(
                f"train.trackers: mlflow at {place}: {error}; mend that, or remove the tracker"
            ) from error
        tell_recorded(self, run, after=self._told)

    def figures(self, step: int, row: Mapping[str, float]) -> None:
        if step > self._told:
            now = int(time.time() * 1000)
            metrics = [
                self._entities.Metric(name, value, now, step) for name, value in row.items() if name != "step"
            ]
            self._client.log_batch(self._run_id, metrics=metrics)

    def picture(self, step: int, name: str, picture: Image) -> None:
        if (name, step) not in self._shown:
            self._client.log_image(self._run_id, picture, key=name, step=step, synchronous=True)

    def finding(self, step: int, title: str, text: str) -> None:
        self._client.set_tag(self._run_id, f"finding.{step}.{title}", text[:LONGEST])

    def close(self, reason: str) -> None:
        self._client.set_tag(self._run_id, "ended", reason)
        self._client.set_terminated(self._run_id, STATUSES[reason])

    def _begun(self, written: Path, place: str, config: MLflow, run: RunInfo) -> str:
        """The run's id at a place, which is `here` in a folder that may move: an earlier session's, or a new one's."""
        ids: dict[str, str] = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
        if place in ids:
            self._client.update_run(ids[place], status="RUNNING")
            return ids[place]
        experiment = self._client.get_experiment_by_name(config.experiment)
        experiment_id = (
            self._client.create_experiment(
                config.experiment, artifact_location=_beside_database(self._client.tracking_uri)
            )
            if experiment is None
            else experiment.experiment_id
        )
        name = config.run_name or run.folder.resolve().name
        run_id: str = self._client.create_run(experiment_id, run_name=name).info.run_id
        written.write_text(json.dumps({**ids, place: run_id}), encoding="utf-8")
        return run_id

    def _told_before(self) -> tuple[int, set[tuple[str, int]]]:
        """The last step whose row is there, and the pictures that are, by name and step."""
        rows = self._client.get_metric_history(self._run_id, "loss")
        pictures = [
            Path(item.path).name.split("+") for item in self._client.list_artifacts(self._run_id, "images")
        ]
        shown = {(name.replace("~", "/"), int(step)) for name, _, step, *_ in pictures}
        return max((row.step for row in rows), default=0), shown

    def _parameters(self, run: RunInfo) -> None:
        """Parameters never change there, so what a resumed run has changed is told as tags."""
        before: dict[str, str] = self._client.get_run(self._run_id).data.params
        values = {name: str(value)[:LONGEST] for name, value in parameters(run.config).items()}
        new = [self._entities.Param(name, value) for name, value in values.items() if name not in before]
        for first in range(0, len(new), MOST_PARAMETERS):
            self._client.log_batch(self._run_id, params=new[first : first + MOST_PARAMETERS])
        for name, value in values.items():
            if before.get(name, value) != value:
                self._client.set_tag(self._run_id, f"changed.{name}", value)
        self._client.log_text(self._run_id, run.config, "config.resolved.yaml")


def _beside_database(uri: str) -> str | None:
    """Where the pictures of a database in a file go: beside it, not into whatever folder the command was called in. A
    server knows better itself.
    """
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///")).resolve().with_name("artifacts").as_uri()

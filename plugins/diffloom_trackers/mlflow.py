"""The configuration of MLflow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import field_validator

from diffloom import RunInfo
from diffloom.kinds import Tracker, Tracking


class MLflow(Tracker):
    """MLflow's tracking, on a server or in a file; a resumed run goes on as the same one.

    Names and passwords come from MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN: this file
    travels with the weights and holds none.
    """

    name = "mlflow"

    tracking_uri: str | None = None
    """Where the server or the store is: `http://host:5000`, `sqlite:///mlflow.db`; null does as MLFLOW_TRACKING_URI
    says, and where it says nothing keeps a database in `mlflow/` in the run folder, for
    `mlflow ui --backend-store-uri sqlite:///RUN/mlflow/mlflow.db`."""
    experiment: str = "diffloom"
    """The experiment that the run is listed in; it is made where there is none."""
    run_name: str | None = None
    """What the run is called; null takes the run folder's name."""

    @field_validator("tracking_uri")
    @classmethod
    def _holds_no_password(cls, uri: str | None) -> str | None:
        if uri is not None and urlsplit(uri).password is not None:
            raise ValueError(
                "holds a password, and this file travels with the weights; set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD instead"
            )
        return uri

    @classmethod
    def specimens(cls, folder: Path) -> Iterable[Self]:
        """In one database: to make one takes seconds."""
        return (cls(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"),)

    def build(self, run: RunInfo) -> Tracking:
        """Begin the run there, or go on with it. Raises DiffloomError where the library is missing or refuses."""
        from diffloom_trackers.mlflow_run import MlflowRun

        return MlflowRun(self, run)

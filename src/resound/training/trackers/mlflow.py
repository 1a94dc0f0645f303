"""MLflow: a database and files below the run folder, or the server in ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

from resound.training.trackers.tracker import TrackedRun, flat

MOST_WAITING = 500  # numbers; MLflow takes up to 1,000 at once
MOST_SECONDS = 10.0  # that a number waits: written one by one, each would cost 20 ms of a step
MOST_LETTERS = 6000  # of a parameter


class MLflow:
    """Writes by a client of its own, so that nothing else that logs to MLflow is touched."""

    def __init__(self, run: TrackedRun) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent that was not asked for
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        folder = run.folder.absolute() / "mlflow"
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        files = None if uri else (folder / "files").as_uri()
        if uri is None:
            folder.mkdir(exist_ok=True)
            uri = f"sqlite:///{folder / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=uri)
        self._id = run.known_id("mlflow") or self._new_id(run, files)
        self._client.update_run(self._id, status="RUNNING")
        self._waiting: list[tuple[str, float, int, int]] = []  # name, value, time in ms, step
        self._written = time.monotonic()
        self.where = f"mlflow ui --backend-store-uri {uri}"

    def _new_id(self, run: TrackedRun, files: str | None) -> str:
        """Begin a run, give it the config, and return its id."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "resound")
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(name, files)
        its_id = str(self._client.create_run(experiment_id, run_name=run.folder.absolute().name).info.run_id)
        run.remember("mlflow", its_id)
        self._client.log_dict(its_id, run.settings, "config.yaml")
        from mlflow.entities import Param

        told = {key: str(value) for key, value in flat(run.settings).items() if value is not None}
        params = [Param(_allowed(key), text) for key, text in told.items() if len(text) <= MOST_LETTERS]
        self._client.log_batch(its_id, params=params[:100])  # as many as MLflow takes; the file has all
        return its_id

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step."""
        now_ms = round(1000 * time.time())
        self._waiting += [(_allowed(name), value, now_ms, step) for name, value in values.items()]
        if len(self._waiting) >= MOST_WAITING or time.monotonic() - self._written > MOST_SECONDS:
            self._write()

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Take a FLAC."""
        self._write()
        self._client.log_artifact(self._id, str(path), f"listen/step-{step:06}")

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG, which MLflow shows with a slider for the steps."""
        from PIL import Image

        with Image.open(path) as picture:
            self._client.log_image(self._id, picture, key=_allowed(name), step=step)

    def close(self) -> None:
        """Write what is left."""
        self._write()
        self._client.set_terminated(self._id)

    def _write(self) -> None:
        from mlflow.entities import Metric

        for start in range(0, len(self._waiting), MOST_WAITING):
            part = [Metric(*waiting) for waiting in self._waiting[start : start + MOST_WAITING]]
            self._client.log_batch(self._id, metrics=part)
        self._waiting, self._written = [], time.monotonic()


def _allowed(name: str) -> str:
    """Return a name in the letters that MLflow allows for all kinds of names."""
    return re.sub(r"[^A-Za-z0-9_\-./ ]", "_", name)[:250]

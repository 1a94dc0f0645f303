"""ClearML: a session below the run folder, which ClearML can import later, or the server that the user has set up."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from resound.training.trackers.tracker import TrackedRun

# What ClearML would hook into by itself.  Looking for a repository may hang in a git that never ends.
HOOKS = (
    *("detect_repository", "hydra", "scikit", "joblib", "matplotlib", "tensorflow", "tensorboard", "tfdefines"),
    *("pytorch", "megengine", "xgboost", "catboost", "fastai", "lightgbm", "gradio", "jsonargparse"),
)


class ClearML:
    """Writes a task of ClearML.

    On a server a resumed run goes on in its task; offline ClearML can only begin another session, and the import puts
    it where it belongs: ``Task.import_offline_session(SESSION, previous_task_id=...)``.
    """

    def __init__(self, run: TrackedRun) -> None:
        # Read whenever ClearML needs its folder, so that sessions offline lie beside the run they belong to.
        os.environ.setdefault("CLEARML_CACHE_DIR", str(run.folder.absolute() / "clearml"))
        from clearml import Task

        is_offline = not has_server()
        known = None if is_offline else run.known_id("clearml")
        with redirect_stdout(io.StringIO()):  # it tells what we tell in our words
            Task.set_offline(is_offline)
            self._task = Task.init(
                project_name=os.environ.get("CLEARML_PROJECT", "resound"),
                task_name=run.folder.absolute().name,
                reuse_last_task_id=known or False,
                continue_last_task=0 if known else False,  # 0: steps count as they are, not from the last one on
                auto_connect_frameworks=dict.fromkeys(HOOKS, False),
                auto_connect_arg_parser=False,
                auto_connect_streams=False,
                auto_resource_monitoring=False,
            )
        if not known:
            self._task.connect_configuration(run.settings, name="config")
            run.remember("clearml", self._task.id)
        self._log: Any = self._task.get_logger()
        folder = self._task.get_offline_mode_folder()
        self.where = f"ClearML's Task.import_offline_session('{folder}.zip')" if is_offline else self._page()

    def _page(self) -> str:
        return str(self._task.get_output_log_web_page())

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step; those of one name share a plot, the model's beside those of the baselines."""
        for name, value in values.items():
            series, _, title = name.rpartition("/")
            self._log.report_scalar(title, series or "value", value, step)

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Take a FLAC."""
        self._log.report_media("listen", name, iteration=step, local_path=str(path), max_history=-1)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        self._log.report_image("listen", name, iteration=step, local_path=str(path), max_image_history=-1)

    def close(self) -> None:
        """Write what is left."""
        with redirect_stdout(io.StringIO()):
            self._task.close()


def has_server() -> bool:
    """Return whether the user has set up a server, by ClearML's own file or environment, and not switched it off."""
    from clearml.backend_api.session.defs import ENV_ACCESS_KEY, ENV_AUTH_TOKEN, ENV_OFFLINE_MODE
    from clearml.backend_config.defs import get_active_config_file

    if ENV_OFFLINE_MODE.get():
        return False
    return bool(ENV_ACCESS_KEY.get() or ENV_AUTH_TOKEN.get() or get_active_config_file())

"""A tracker by its name; what it lacks is told before the training, what fails later does not end it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from resound.errors import ConfigError, one_line
from resound.training.trackers.tracker import NoTracker, TrackedRun, Tracker

PACKAGES = {  # of each tracker, and the extra that brings it
    "tensorboard": ("tensorboard", "train"),
    "clearml": ("clearml", "track-clearml"),
    "mlflow": ("mlflow", "track-mlflow"),
    "wandb": ("wandb", "track-wandb"),
}


def check_tracker(name: str) -> None:
    """Raise `ConfigError` where the package of a tracker is missing, with the line to install it."""
    if name != "none" and find_spec(PACKAGES[name][0]) is None:
        package, extra = PACKAGES[name]
        raise ConfigError(
            f"tracker: {name} needs {package}, which is not installed; run: pip install 'resound[{extra}]', or set "
            "tracker=none"
        )


def open_tracker(name: str, run: TrackedRun, tell: Callable[[str], None]) -> Tracker:
    """Return a tracker by its name, which goes on with its own run where it can.

    ``tell`` hears how to look at it, and one line if it fails later.  Raises `ConfigError` where it cannot be opened.
    """
    check_tracker(name)
    if name == "none":
        return NoTracker()
    try:
        tracker = _opened(name, run)
    except Exception as error:  # a server that does not answer, a login that is refused: each package has its own
        raise ConfigError(
            f"tracker: {name} cannot be opened ({one_line(error)}); mend what it is set to, or set tracker=none"
        ) from None
    tell(f"tracker: {tracker.where}")
    return Guarded(name, tracker, tell)


def _opened(name: str, run: TrackedRun) -> Tracker:
    if name == "clearml":
        from resound.training.trackers.clearml import ClearML

        return ClearML(run)
    if name == "mlflow":
        from resound.training.trackers.mlflow import MLflow

        return MLflow(run)
    if name == "wandb":
        from resound.training.trackers.wandb import WandB

        return WandB(run)
    from resound.training.trackers.tensorboard import TensorBoard

    return TensorBoard(run)


class Guarded:
    """Passes everything on to a tracker, until it fails: then it says so once, and the run goes on without it.

    A server that is gone must not cost a training of days; the run's own folder holds all that a tracker gets.
    """

    def __init__(self, name: str, tracker: Tracker, tell: Callable[[str], None]) -> None:
        self._name, self._tracker, self._tell = name, tracker, tell
        self.where = tracker.where
        self._has_failed = False

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step."""
        self._try(lambda: self._tracker.log(step, values))

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Take a FLAC."""
        self._try(lambda: self._tracker.log_sound(step, name, path))

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        self._try(lambda: self._tracker.log_picture(step, name, path))

    def close(self) -> None:
        """Write what is left."""
        self._try(self._tracker.close)

    def _try(self, act: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            act()
        except Exception as error:  # each package has its own
            self._has_failed = True
            self._tell(
                f"tracker: {self._name} failed and gets no more ({one_line(error)}); the run goes on, and its folder "
                "holds everything"
            )

"""Where curves, sounds and pictures of a run go, beside its own folder; every tracker works without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Tracker(Protocol):
    """What a run tells a tracker."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step."""
        ...

    def log_sound(self, step: int, name: str, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Take a sound ``(channel, time)``."""
        ...

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class NoTracker:
    """Tells nobody."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Do nothing."""

    def log_sound(self, step: int, name: str, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Do nothing."""

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class TensorBoard:
    """Event files below the run folder: ``tensorboard --logdir RUN/tensorboard``."""

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a resumed run makes again replaces what there was.
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step or None)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def log_sound(self, step: int, name: str, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Take a sound ``(channel, time)``; its channels are mixed."""
        self._writer.add_audio(name, np.clip(samples.mean(axis=0), -1, 1)[None], step, sample_rate)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        from matplotlib.image import imread

        self._writer.add_image(name, imread(path)[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def open_tracker(name: str, folder: Path, *, first_step: int = 0) -> Tracker:
    """Return a tracker by its name.  Raises `ConfigError` where its package is missing, with the line to install it."""
    if name == "none":
        return NoTracker()
    return TensorBoard(folder, first_step)

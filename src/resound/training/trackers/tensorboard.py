"""Event files below the run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import yaml

from resound.training.trackers.tracker import TrackedRun


class TensorBoard:
    """Writes event files; a resumed run goes on in the same folder."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        # What a resumed run makes again replaces what there was, from the first such step on.
        self._writer = SummaryWriter(str(folder), purge_step=run.first_step + 1 if run.first_step else None)
        self.where = f"tensorboard --logdir {folder}"
        if not run.first_step:
            text = yaml.safe_dump(run.settings, sort_keys=False, allow_unicode=True)
            self._writer.add_text("config", "    " + text.replace("\n", "\n    "))  # Markdown: as it is

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Take a FLAC; its channels are mixed, as TensorBoard plays one."""
        samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
        self._writer.add_audio(name, samples.mean(axis=1)[None], step, int(sample_rate))

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        from matplotlib.image import imread

        self._writer.add_image(name, np.asarray(imread(path))[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

"""Weights & Biases: files below the run folder, which ``wandb sync`` can send later; online where the user says so."""

from __future__ import annotations

import os
from pathlib import Path

from resound.training.trackers.tracker import TrackedRun

SAYS_ONLINE = ("WANDB_MODE", "WANDB_API_KEY")  # with one of them W&B decides for itself


class WandB:
    """Writes a run of W&B; a resumed run goes on under the same id.

    W&B takes no step twice: of those that a resumed run makes again it keeps the first values, which are equal.
    """

    def __init__(self, run: TrackedRun) -> None:
        is_offline = not any(os.environ.get(name) for name in SAYS_ONLINE)
        if is_offline:
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._wandb = wandb
        known = run.known_id("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "resound"),
            name=run.folder.absolute().name,
            dir=str(run.folder),
            id=known,
            resume="allow" if known else None,
            config=None if known else run.settings,
            mode="offline" if is_offline else None,
            settings=wandb.Settings(console="off", silent=True, save_code=False, disable_git=True),
        )
        run.remember("wandb", self._run.id)
        self.where = f"wandb sync {Path(self._run.dir).parent}" if is_offline else str(self._run.url or "")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take numbers of a step."""
        self._run.log(values, step=step)

    def log_sound(self, step: int, name: str, path: Path) -> None:
        """Take a FLAC."""
        self._run.log({name: self._wandb.Audio(str(path), caption=f"step {step}")}, step=step)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Take a PNG."""
        self._run.log({name: self._wandb.Image(str(path), caption=f"step {step}")}, step=step)

    def close(self) -> None:
        """Write what is left."""
        self._run.finish()

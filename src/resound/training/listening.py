"""Sounds and pictures of a few fixed examples, and of the user's own recordings, at every validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from resound.audio.segments import read_excerpt
from resound.inference.picture import Spectrograms
from resound.mixing.cache import CachedExamples
from resound.mixing.denoisers import denoise, open_denoiser
from resound.models.network import Network
from resound.training.config import RunConfig
from resound.training.trackers import Tracker

EXCERPT_SECONDS = 10.0  # of the user's recordings


class Listening:
    """Callable after each validation: writes what the network makes of each sound, below ``listen/``."""

    def __init__(self, config: RunConfig, folder: Path, examples: CachedExamples) -> None:
        self._folder, self._rate = folder / "listen", examples.sample_rate
        self._names = ("denoised", "degraded") if examples.task == "regenerate" else ("degraded",)  # of what is given
        self._given: dict[str, NDArray[np.float32]] = {}  # (channel, time)
        self._asked: dict[str, NDArray[np.float32]] = {}
        # Spread over the set, so that they are not all of one kind.
        chosen = np.linspace(0, examples.n_examples - 1, min(config.n_listen, examples.n_examples)).round().astype(int)
        for index in dict.fromkeys(chosen.tolist()):
            example = examples.example(0, index)
            self._given[f"example-{index}"], self._asked[f"example-{index}"] = example.degraded, example.clean
        for path in config.listen:  # opened now: a wrong name is told before the training, not after an hour
            excerpt = read_excerpt(path, self._rate, start_seconds=0.0, n_samples=round(EXCERPT_SECONDS * self._rate))
            self._given[path.stem] = given_of(excerpt[:1], self._rate, config)

    def __call__(self, network: Network, device: torch.device, step: int, tracker: Tracker) -> None:
        """Write the sounds of a step, and at the first time what they were made from."""
        if not self._given:
            return
        folder = self._folder / f"step-{step:06}"
        folder.mkdir(parents=True, exist_ok=True)
        was_training = network.training
        network.eval()
        for name, given in self._given.items():
            with torch.inference_mode():
                out = network(torch.from_numpy(given)[None].to(device))[0].float().cpu().numpy()
            for kind, part in zip(self._names, np.split(given, len(self._names)), strict=True):
                self._write(self._folder / f"{name}_{kind}.flac", part, once=True)
            if name in self._asked:
                self._write(self._folder / f"{name}_clean.flac", self._asked[name], once=True)
            self._write(folder / f"{name}.flac", out)
            tracker.log_sound(step, name, out, self._rate)
            self._draw(folder / f"{name}.png", given, out, f"{name}   ·   step {step}")
            tracker.log_picture(step, f"{name}/picture", folder / f"{name}.png")
        network.train(was_training)

    def _write(self, path: Path, samples: NDArray[np.float32], *, once: bool = False) -> None:
        if not (once and path.exists()):
            soundfile.write(path, np.clip(samples, -1, 1).T, self._rate, subtype="PCM_16")

    def _draw(self, path: Path, given: NDArray[np.float32], out: NDArray[np.float32], title: str) -> None:
        before, after = given[:1].astype(np.float64), out[:1].astype(np.float64)
        pictures = Spectrograms(self._rate, given.shape[1] / self._rate)
        pictures.add(before, after, before - after)
        pictures.draw(path, title=title)


def given_of(recording: NDArray[np.float32], sample_rate: int, config: RunConfig) -> NDArray[np.float32]:
    """Return what the network takes for a recording ``(1, time)``: through the run's denoiser where it has one."""
    plans = config.prepared_plans
    n_channels = config.network_config.n_channels
    if not plans or plans[0].denoiser is None:
        return np.repeat(recording, n_channels, axis=0)
    settings = plans[0].denoiser
    furthest = settings.max_delay_seconds
    denoised = denoise(open_denoiser(settings), recording, sample_rate, max_delay_seconds=furthest).audio
    return np.concatenate([denoised, recording])[:n_channels]

"""Whether an exported graph does what the network does: ten seconds of sound that is hard on it, state fed back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from resound.dsp.resampling import resample
from resound.errors import ModelError
from resound.inference.demo import damage, tune
from resound.inference.frames import GraphFrames
from resound.inference.graph_file import GraphFile
from resound.models.network import Network

MOST_ERROR = 1e-4  # of the network's own peak
QUIETEST_PEAK = 5e-3  # -46 dBFS: where a network gives less, float32 is no nearer to float64 than the graph to either
ODD_SECONDS = 0.73  # of the second length of an offline graph ...
MANY_SECONDS = 0.37  # ... and of frames that may be of any length
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How far a graph is from its network."""

    error: float  # the largest difference, of the network's peak in that part
    part: str  # of the test sounds, where that is
    seconds: float  # of sound that were compared

    def __str__(self) -> str:
        where = f"in {self.part}; {self.seconds:.1f} s compared"
        return f"differs from torch by {self.error:.1e} of the peak at most ({where})"


def verify(network: Network, path: Path, recording: Sound | None = None) -> Agreement:
    """Return how far a graph's file is from its network, over `test_sounds`.

    ``recording`` ``(channel, time)`` at the network's rate is compared as well.  Raises `ModelError` where the graph
    cannot run on them.
    """
    sounds = test_sounds(network.sample_rate, network.config.n_channels, recording)
    is_streaming = GraphFile(path).is_streaming
    compare = _compare_stream if is_streaming else _compare_whole
    worst, where, n_samples = 0.0, "", 0
    for part, ours, theirs in compare(network, path, sounds):
        if theirs.shape != ours.shape:
            raise ModelError(f"{path}: gave {theirs.shape} for {part}, the network gives {ours.shape}")
        scale = max(float(np.abs(ours).max(initial=0.0)), QUIETEST_PEAK)
        difference = np.abs(theirs.astype(np.float64) - ours).max(initial=0.0)
        error = float(difference) / scale if np.isfinite(theirs).all() else float("inf")
        n_samples += ours.shape[-1]
        if error >= worst:
            worst, where = error, part
    return Agreement(worst, where, n_samples / network.sample_rate)


def test_sounds(sample_rate: int, n_channels: int, recording: Sound | None = None) -> dict[str, Sound]:
    """Return sounds ``(channel, time)`` by name, ten seconds in all, and the recording."""
    rng = np.random.default_rng(20)
    clean = tune()
    melody = resample(damage(clean, rng)[None], 44100, sample_rate)[:, : 4 * sample_rate]
    second = sample_rate
    sounds = {
        "a damaged melody": melody,
        "silence": np.zeros((1, second)),
        "noise at full scale": rng.uniform(-1, 1, (1, second)),
        "noise at -70 dBFS": 10 ** (-70 / 20) * rng.standard_normal((1, second)),
        "a square wave at full scale": np.sign(np.sin(2 * np.pi * 200 * np.arange(second) / sample_rate))[None],
        "clicks in silence": (rng.random((1, second)) < 20 / second) * rng.choice([-1.0, 1.0], (1, second)),
        "noise that grows from nothing": rng.standard_normal((1, second)) * np.geomspace(1e-6, 1, second) / 4,
    }
    if recording is not None:
        sounds["the recording"] = recording
    several = {  # no two channels the same
        name: np.concatenate([np.roll(each, 37 * shift, axis=-1) * 0.9**shift for shift in range(n_channels)])
        if len(each) == 1
        else each
        for name, each in sounds.items()
    }
    return {name: np.ascontiguousarray(each, dtype=np.float32) for name, each in several.items()}


def _compare_stream(network: Network, path: Path, sounds: dict[str, Sound]) -> Iterator[tuple[str, Sound, Sound]]:
    """Yield each part as network and graph give it, one stream through all, each with the state of its own."""
    frames = GraphFrames(path)
    yield from _compare_frames(network, frames, sounds)
    many = GraphFrames(path, at_once_seconds=MANY_SECONDS)
    if many.frame_samples != frames.frame_samples:
        named = {f"{part}, {many.frame_samples} samples at once": sound for part, sound in sounds.items()}
        yield from _compare_frames(network, many, named)


def _compare_frames(
    network: Network, frames: GraphFrames, sounds: dict[str, Sound]
) -> Iterator[tuple[str, Sound, Sound]]:
    causal = cast(Any, network)  # which has a state and steps
    size, stream, state = frames.frame_samples, frames.begin(), causal.init_state(1)
    for part, sound in sounds.items():
        ours, theirs = [], []
        for start in range(0, sound.shape[1] - size + 1, size):
            frame = sound[:, start : start + size]
            with torch.inference_mode():
                own, state = causal.step(torch.from_numpy(frame[None].copy()), state)
            ours.append(own.numpy()[0])
            theirs.append(stream.step(frame).copy())
        yield part, np.concatenate(ours, axis=1), np.concatenate(theirs, axis=1)


def _compare_whole(network: Network, path: Path, sounds: dict[str, Sound]) -> Iterator[tuple[str, Sound, Sound]]:
    """Yield all of them in a row, and each alone, cut to another length, as network and graph give it."""
    file = GraphFile(path)
    name = file.session.get_inputs()[0].name
    odd = round(ODD_SECONDS * network.sample_rate) | 1
    parts = {"all in a row": np.concatenate(list(sounds.values()), axis=1)}
    parts |= {f"{part}, {odd} samples": sound[:, :odd] for part, sound in sounds.items()}
    for part, sound in parts.items():
        with torch.inference_mode():
            ours = network(torch.from_numpy(sound[None])).numpy()[0]
        try:
            theirs = file.session.run(None, {name: sound[None]})[0][0]
        except Exception as error:  # onnxruntime's own family
            raise ModelError(f"{path}: fails on {part} ({' '.join(str(error).split())[:160]})") from None
        yield part, ours, theirs

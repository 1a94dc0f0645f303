"""Sounds and pictures of a few fixed examples, and of the user's own recordings, at every validation.

::

    listen/sounds.json              where each sound comes from, and its gain
    listen/film_degraded.flac       what the network is given; film_mixture.flac to separate
    listen/example-7_clean.flac     what it is asked for; example-7_clean_1.flac and so on to separate
    listen/step-000500/film.flac    what it made of it; film_1.flac, film_2.flac to separate
    listen/step-000500/film.png     all of it as spectrograms on one scale

All files of a sound have one gain, from the first step to the last, so that they can be compared: 1, or less where
the input is so loud that a network which overshoots by 6 dB would clip.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from resound.dsp.permutation import best_matching
from resound.inference.picture import Spectrograms
from resound.inference.separation import Levels
from resound.judging.scores import matched, si_sdr, unprocessed
from resound.mixing.cache import CachedExamples
from resound.mixing.denoisers import denoise, open_denoiser
from resound.mixing.example import Example
from resound.models.network import Network
from resound.training.before import after_stages
from resound.training.config import RunConfig
from resound.training.recordings import Recording, names_apart
from resound.training.trackers import Tracker

Audio = NDArray[np.float32]
LOUDEST = 0.5  # of full scale: louder sounds are written softer
PICTURE_DPI = 100


@dataclass
class Sound:
    """One sound that is heard at every validation."""

    fed: list[Audio]  # (channel, time): what the network is given, one after the other
    given: Audio  # (channel, time): the same as people hear it
    asked: Audio | None  # (channel or source, time); None where nobody knows it
    source: str
    start_seconds: float = 0.0
    noisy: Audio | None = None  # (1, time): what `given` was before a denoiser, where the network gets both

    @property
    def gain(self) -> float:
        """What all files of this sound are multiplied by."""
        peak = max(float(np.abs(samples).max()) for samples in (self.given, self.asked) if samples is not None)
        return min(1.0, LOUDEST / peak) if peak else 1.0


class Listening:
    """Callable after each validation: writes what the network makes of each sound, below ``listen/``."""

    def __init__(
        self, config: RunConfig, folder: Path, examples: CachedExamples, recordings: list[Recording] | None = None
    ) -> None:
        self._folder, self._rate = folder / "listen", examples.sample_rate
        self._separates = config.task == "separate"
        # Spread over the set, so that they are not all of one kind.
        chosen = np.linspace(0, examples.n_examples - 1, min(config.n_listen, examples.n_examples)).round().astype(int)
        self._sounds = {f"example-{index}": sound_of(examples.example(0, index)) for index in dict.fromkeys(chosen)}
        names = names_apart([each.path for each in recordings or ()], self._sounds)
        for name, recording in zip(names, recordings or (), strict=True):
            self._sounds[name] = own_sound(recording, self._rate, config)
        for sound in self._sounds.values():
            sound.fed = behind_stages(sound.fed, config, self._rate)
        self._made: dict[str, Audio] = {}  # of the validation before
        self._is_first = True

    def __call__(self, network: Network, device: torch.device, step: int, tracker: Tracker) -> None:
        """Write the sounds of a step, and at the first time what they were made from."""
        if not self._sounds:
            return
        folder = self._folder / f"step-{step:06}"
        folder.mkdir(parents=True, exist_ok=True)
        if self._is_first:
            self._write_inputs(step, tracker)
        self._is_first = False
        was_training = network.training
        network.eval()
        for name, sound in self._sounds.items():
            made = self._made[name] = self._in_order(name, sound, run(network, device, sound.fed))
            clipped = self._write(folder, name, "", made, sound.gain, step, tracker)
            picture = folder / f"{name}.png"
            self._draw(picture, sound, made, self._title(name, sound, made, step, clipped))
            tracker.log_picture(step, f"{name}/picture", picture)
        network.train(was_training)

    def _in_order(self, name: str, sound: Sound, made: Audio) -> Audio:
        """Return sources in the order of what is asked for, or of the validation before, and at the mixture's level.

        That level is the one which `resound separate` gives them; a loss may leave it free.
        """
        if not self._separates:
            return made
        if sound.asked is not None:
            made = made[matched(made.astype(np.float64), sound.asked.astype(np.float64))]
        elif name in self._made:
            made = made[best_matching(np.abs(self._made[name] @ made.T)).order]
        gains = Levels().fit(made[:, None].astype(np.float64), sound.given.astype(np.float64))
        return np.asarray(gains * made, dtype=np.float32)

    def _write_inputs(self, step: int, tracker: Tracker) -> None:
        told: dict[str, Any] = {}
        for name, sound in self._sounds.items():
            gain_db = round(20 * float(np.log10(sound.gain)), 2)
            told[name] = {"source": sound.source, "start_seconds": round(sound.start_seconds, 3), "gain_db": gain_db}
            kinds = {"mixture" if self._separates else "degraded": sound.given}
            if sound.noisy is not None:
                kinds = {"denoised": sound.given, "degraded": sound.noisy}
            for kind, samples in kinds.items():
                path = self._folder / f"{name}_{kind}.flac"
                self._write_one(path, samples, sound.gain)
                tracker.log_sound(step, f"{name}/{kind}", path)
            if sound.asked is not None:
                self._write(self._folder, name, "_clean", sound.asked, sound.gain, step, tracker)
        text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
        (self._folder / "sounds.json").write_text(text, encoding="utf-8")

    def _write(
        self, folder: Path, name: str, kind: str, samples: Audio, gain: float, step: int, tracker: Tracker
    ) -> float:
        """Write one file of all channels, or one for each source, and return which share of the samples clipped."""
        label = kind[1:] or ("voice" if self._separates else "restored")
        parts = {"": samples}
        if self._separates:
            parts = {f"_{number}": voice[None] for number, voice in enumerate(samples, start=1)}
        for suffix, part in parts.items():
            path = folder / f"{name}{kind}{suffix}.flac"
            self._write_one(path, part, gain)
            tracker.log_sound(step, f"{name}/{label}{suffix}", path)
        return float(np.mean(np.abs(gain * samples) > 1))

    def _write_one(self, path: Path, samples: Audio, gain: float) -> None:
        whole = np.nan_to_num(np.clip(gain * samples, -1, 1)).T
        try:
            soundfile.write(path, whole, self._rate, subtype="PCM_16")
        except soundfile.LibsndfileError as error:
            raise OSError(f"{path.name}: {error.error_string}") from None

    def _title(self, name: str, sound: Sound, made: Audio, step: int, clipped: float) -> str:
        parts = [name, f"step {step:,}"]
        if sound.asked is not None:
            given = np.repeat(sound.given, len(made) // len(sound.given), axis=0)
            values = [float(np.mean(si_sdr(each.astype(np.float64), sound.asked))) for each in (given, made)]
            parts.append("SI-SDR {:.1f} → {:.1f} dB".format(*values))
        if clipped:
            parts.append(f"louder than can be written: {clipped:.1%} clipped")
        return "   ·   ".join(parts)

    def _draw(self, path: Path, sound: Sound, made: Audio, title: str) -> None:
        rows = {"mixture" if self._separates else "before": sound.given}
        if self._separates:
            for index, voice in enumerate(made):
                rows[f"voice {index + 1}"] = voice[None]
                if sound.asked is not None:
                    rows[f"asked for {index + 1}"] = sound.asked[index : index + 1]
        else:
            rows |= {"after": made, "removed": sound.given - made}
            rows |= {"asked for": sound.asked} if sound.asked is not None else {}
        seconds = sound.given.shape[1] / self._rate
        pictures = Spectrograms(self._rate, seconds, start_seconds=sound.start_seconds, names=tuple(rows))
        pictures.add(*(np.nan_to_num(row).astype(np.float64) for row in rows.values()))
        pictures.draw(path, title=title, dpi=PICTURE_DPI)


def run(network: Network, device: torch.device, fed: list[Audio]) -> Audio:
    """Return ``(channel or source, time)`` of what a network is given, one after the other."""
    with torch.inference_mode():
        made = [network(torch.from_numpy(samples)[None].to(device))[0].float().cpu().numpy() for samples in fed]
    return np.concatenate(made)


def behind_stages(fed: list[Audio], config: RunConfig, sample_rate: int) -> list[Audio]:
    """Return what a network is given behind what runs before it, which hears all channels at once."""
    whole = after_stages(config.after, np.concatenate(fed), sample_rate)
    return np.split(whole, np.cumsum([len(part) for part in fed])[:-1])


def sound_of(example: Example) -> Sound:
    """Return an example as a sound: of channels that a network gets beside the one it restores, that one is heard."""
    given, noisy = example.degraded, None
    if example.task == "regenerate":
        given, noisy = given[:1], given[1:2] if len(given) > 1 else None
    elif len(example.clean) == 1:
        given = given[:1]
    elif len(example.clean) != len(given):
        given = unprocessed(example)[:1]
    return Sound([example.degraded], given, example.clean, f"validation, {example.domain}", noisy=noisy)


def own_sound(recording: Recording, sample_rate: int, config: RunConfig) -> Sound:
    """Return a recording as a sound, as `resound restore` and `resound separate` would give it to the network.

    A mono network gets stereo channel by channel.  More channels than two, or than the network has, are mixed to one.
    One that wants a denoiser's output beside the recording gets it from the first denoiser of its own material.
    """
    samples, network = recording.samples, config.network_config
    given = mono = samples.mean(axis=0, keepdims=True)
    noisy = None
    if config.task == "regenerate":
        given, noisy = denoised(mono, sample_rate, config), mono
        fed = [np.concatenate([given, mono])[: network.n_channels]]
    elif config.task == "separate" or network.n_sources != network.n_channels:
        fed = [np.repeat(mono, network.n_channels, axis=0)]
    else:
        given = np.repeat(mono, network.n_channels, axis=0)
        if len(samples) == network.n_channels or (network.n_channels, len(samples)) == (1, 2):
            given = samples
        fed = [given] if network.n_channels > 1 else [channel[None] for channel in given]
    return Sound(fed, given, None, str(recording.path), recording.start_seconds, noisy)


def denoised(mono: Audio, sample_rate: int, config: RunConfig) -> Audio:
    """Return a recording ``(1, time)`` after the first denoiser of a run's prepared sets, if it has one."""
    settings = next((plan.denoisers[0] for plan in config.prepared_plans), None)
    if settings is None:
        return mono
    furthest = settings.max_delay_seconds
    return denoise(open_denoiser(settings), mono, sample_rate, max_delay_seconds=furthest).audio

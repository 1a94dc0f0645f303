"""Examples to separate: two or three speakers at once, mixed anew for every example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.segments import resample
from resound.degrade.chain import Drawn, Step, apply_chain
from resound.degrade.replay import n_samples_needed
from resound.degrade.spread import Spread
from resound.dsp.active import active_speech_power
from resound.dsp.levels import LevelMeter
from resound.errors import ConfigError, InputError
from resound.mixing.augment import Sides, draw_augmentations, round_speed, samples_to_make
from resound.mixing.config import SeparationConfig
from resound.mixing.example import Example, place_of
from resound.mixing.finish import finish, fit_length, make, open_banks, with_split
from resound.mixing.pool import Pool, Unusable, load_pool

Audio = NDArray[np.float32]
NOMINAL_DBFS = -26.0  # active level that speech is brought to before levels are drawn (ITU-T P.56 material)
WSJ0_HALF_SPREAD_DB = (
    2.5  # of wsj0-2mix: one speaker up by 0 to 2.5 dB, the other down by as much (Hershey et al. 2016)
)
LIBRIMIX_LUFS = (-33.0, -25.0)  # range of each speaker's loudness (Cosentino et al. 2020, section 2.1)


class Separation:
    """A seeded stream of mixtures and their sources; see `Examples`."""

    def __init__(self, config: SeparationConfig) -> None:
        self.config = config
        self.sample_rate = config.sample_rate
        self.skipped: Counter[str] = Counter()
        self._chain, self._source_chain = (
            with_split(chain, config.split) if chain else None for chain in (config.chain, config.source_chain)
        )
        _refuse_what_sources_cannot_follow(self._chain.steps if self._chain else ())
        for chain in filter(None, (self._chain, self._source_chain)):
            open_banks(chain)
        fastest = config.speed_percent.ends[1] / 100
        self._pool = load_pool(
            config.speech,
            split=config.split,
            segment_seconds=config.segment_seconds,
            seed=config.seed,
            **({"min_seconds": config.segment_seconds * fastest} if config.length == "min" else {}),
            nameless=self.skipped,
        )
        self.n_examples = config.n_examples or self._pool.n_slots
        self._speakers = _recordings_by_speaker(self._pool, config)
        self._speaker_of = np.zeros(len(self._pool), int)
        for speaker, recordings in enumerate(self._speakers):
            self._speaker_of[recordings] = speaker

    def example(self, epoch: int, index: int) -> Example:
        """Return one example.  Raises `InputError` where none can be made."""
        epoch, index = place_of(epoch, index, self.n_examples)
        position = epoch * self.n_examples + index

        def attempt(rng: np.random.Generator, number: int) -> Example:
            first = position if number == 0 else int(rng.integers(self._pool.n_slots))
            return self._make(first, rng, {"epoch": epoch, "index": index})

        return make(attempt, (self.config.seed, epoch, index), self.skipped)

    def _make(self, position: int, rng: np.random.Generator, recipe: dict[str, Any]) -> Example:
        config = self.config
        augmentations = draw_augmentations(config.augment, rng)
        n_samples = samples_to_make(config.segment_samples, config.sample_rate, augmentations)
        cast = self._cast(position, rng)
        if config.alone and rng.uniform() < config.alone:
            recipe = recipe | {"alone": True}
        heard = cast[:1] if recipe.get("alone") else cast
        spoken = [self._speak(recording, slot, n_samples, rng) for recording, slot in heard]
        gains_db = self._gains_db([audio for audio, _ in spoken], rng)
        scaled = [np.float32(10 ** (gain / 20)) * audio for gain, (audio, _) in zip(gains_db, spoken, strict=True)]
        silent = [np.zeros_like(scaled[0])] * (len(cast) - len(heard))
        sources = np.concatenate(scaled + silent)
        sides, drawn = self._degrade(sources, rng)
        sides, done = finish(sides, config, augmentations, rng)
        places = [place | {"gain_db": gain} for gain, (_, place) in zip(gains_db, spoken, strict=True)]
        bandwidths_hz = [self._pool.bandwidth_hz(recording, measure=config.measure_bandwidth) for recording, _ in heard]
        return Example(
            degraded=sides.degraded,
            clean=sides.clean,
            sample_rate=config.sample_rate,
            bandwidth_hz=min(*bandwidths_hz, config.sample_rate / 2),
            domain="speech",
            recipe=recipe | {"sources": places} | ({"chain": drawn} if drawn else {}) | done,
            task="separate",
        )

    def _cast(self, position: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Return recording and slot of each speaker: the first in turn, the others drawn among other speakers."""
        first, slot = self._pool.pick(position)
        others = [speaker for speaker in range(len(self._speakers)) if speaker != self._speaker_of[first]]
        cast = [(first, slot)]
        for speaker in rng.choice(others, self.config.n_speakers - 1, replace=False):
            recording = int(rng.choice(self._speakers[speaker]))
            cast.append((recording, int(rng.integers(self._pool.slots_of(recording)))))
        return cast

    def _speak(
        self, recording: int, slot: int, n_samples: int, rng: np.random.Generator
    ) -> tuple[Audio, dict[str, Any]]:
        """Return ``(1, n_samples)`` of a recording at a drawn speed after `source_chain`, and where it is from."""
        speed_percent = round_speed(self.config.speed_percent.draw(rng))
        drawn = self._source_chain.draw(rng) if self._source_chain is not None else []
        n_read = int(np.ceil(n_samples_needed(n_samples, drawn) * speed_percent / 100))
        excerpt = self._pool.excerpt(
            recording, slot, sample_rate=self.sample_rate, n_samples=n_read, n_channels=1, rng=rng
        )
        audio = apply_chain(resample(excerpt.audio, speed_percent, 100), self.sample_rate, drawn)
        about = {"speaker": self._pool.speakers[recording], "speed_percent": speed_percent}
        return fit_length(audio, n_samples), excerpt.place | about | ({"chain": drawn} if drawn else {})

    def _gains_db(self, sources: list[Audio], rng: np.random.Generator) -> list[float]:
        """Return the gain of each ``(1, time)`` source that gives the levels which are asked for."""
        levels, n_speakers = self.config.levels, self.config.n_speakers
        if levels == "librimix":
            gains = [rng.uniform(*LIBRIMIX_LUFS) - _loudness_lufs(audio, self.sample_rate) for audio in sources]
        else:
            if isinstance(levels, Spread):
                wanted = [levels.draw(rng) for _ in sources]
            elif n_speakers == 2:
                up_db = rng.uniform(-WSJ0_HALF_SPREAD_DB, WSJ0_HALF_SPREAD_DB)
                wanted = [NOMINAL_DBFS + up_db, NOMINAL_DBFS - up_db]
            else:
                wanted = list(NOMINAL_DBFS + rng.uniform(-WSJ0_HALF_SPREAD_DB, WSJ0_HALF_SPREAD_DB, n_speakers))
            powers = [active_speech_power(audio, self.sample_rate) for audio in sources]
            of_them = zip(wanted[: len(sources)], powers, strict=True)  # one may speak alone
            gains = [level_dbfs - 10 * np.log10(power) for level_dbfs, power in of_them]
        return [float(f"{gain:.6g}") for gain in gains]

    def _degrade(self, sources: Audio, rng: np.random.Generator) -> tuple[Sides, Drawn]:
        """Return the mixture after the chain, if there is one, the sources as they are in it, and what was drawn."""
        mixture = sources.sum(axis=0, keepdims=True)
        if self._chain is None:
            return Sides(mixture, sources), []
        drawn = self._chain.draw(rng)
        followed = [line for line in drawn if line.get("target") == "same"]
        degraded = apply_chain(mixture, self.sample_rate, drawn)
        return Sides(degraded, apply_chain(sources, self.sample_rate, followed)), drawn

    def files(self) -> list[Path]:
        """Return the recordings of speech."""
        return [Path(path) for path in self._pool.paths]

    def describe(self) -> dict[str, Any]:
        """Return what there is to learn from: recordings, hours, speakers, distinct pairs of segments."""
        slots = np.array([sum(map(self._pool.slots_of, recordings)) for recordings in self._speakers])
        return {
            "recordings": len(self._pool),
            "hours": round(float(self._pool.seconds.sum()) / 3600, 3),
            "speakers": len(self._speakers),
            "segments": int(slots.sum()),
            "distinct_mixtures": _distinct_mixtures(slots, self.config.n_speakers),
            "mixing": "dynamic",
        }


def _refuse_what_sources_cannot_follow(steps: Sequence[Step]) -> None:
    """Raise `ConfigError` for a step that is to change a mixture's sources too, and does not add up."""
    for step in steps:
        _refuse_what_sources_cannot_follow(step.parts)
        if step.degradation is None:
            continue
        moves = step.degradation.apply_to_target is not None
        if step.degradation.adds_up:
            if moves and step.target == "auto":
                raise ConfigError(f"chain: {step.name} changes the target too; write 'target: same' beside it")
        elif step.target == "same" or moves:  # of what moves samples, clean sources would be late or early
            raise ConfigError(
                f"chain: {step.name} changes the target too, which sources cannot follow once they are mixed; "
                + ("put it into source_chain" if moves else "leave target out, or put it into source_chain")
            )


def _recordings_by_speaker(pool: Pool, config: SeparationConfig) -> list[NDArray[np.int64]]:
    """Return the recordings of each speaker.  Raises `InputError` where there are too few."""
    speakers: dict[str, list[int]] = {}
    for recording, name in enumerate(pool.speakers):
        speakers.setdefault(str(name), []).append(recording)
    if len(speakers) < config.n_speakers:
        names = ", ".join(sorted(speakers))
        raise InputError(
            f"{config.speech[0].corpus[0]}: holds {len(speakers)} speaker ({names}) in split {config.split!r}, "
            f"mixtures of {config.n_speakers} need as many; add a corpus or lower n_speakers"
        )
    return [np.array(recordings) for recordings in speakers.values()]


def _distinct_mixtures(slots: NDArray[np.int64], n_speakers: int) -> int:
    """Return how many sets of segments by different speakers there are (elementary symmetric polynomial)."""
    sums = [1] + [0] * n_speakers
    for count in slots.tolist():
        for order in range(n_speakers, 0, -1):
            sums[order] += sums[order - 1] * count
    return sums[n_speakers]


def _loudness_lufs(audio: Audio, sample_rate: int) -> float:
    """Return the loudness of ``(1, time)``.  Raises `Unusable` where it has none."""
    meter = LevelMeter(sample_rate, 1)
    meter.add(audio.astype(np.float64))
    if meter.loudness_lufs is None:
        raise Unusable("an excerpt too quiet or too short for a loudness (0.4 s)")
    return meter.loudness_lufs

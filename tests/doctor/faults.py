"""The weakest fault of each kind that doctor must name, with its size in words: what the table in docs/doctor.md holds.

Each is made of healthy material.  The faults of plans, probes and runs are those of their tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile

from resound.doctor.data_evidence import Amount, DataEvidence, Shares, Validation
from resound.doctor.settings import DoctorSettings
from resound.doctor.splits import splits_of
from resound.doctor.training_data import evidence_of_sums

from .outputs import Three, clipped_at, low_passed, moved, speech, stepped, syllables_lost
from .sets import RATE, clean_sounds, evidence_in, with_noise, write_pairs
from .test_plan_checks import FAULTS as PLAN
from .test_probe_checks import FAULTS as PROBE
from .test_run_checks import FAULTS as RUN

N = 8


@dataclass(frozen=True)
class Fault:
    """One fault: what it is in words, and evidence that holds it."""

    code: str
    words: str
    make: Callable[[Path], Any]
    settings: DoctorSettings = field(default_factory=DoctorSettings)


def pairs(change: Callable[[list, list], tuple[list, list]], n: int = N, seconds: float = 2.0, snr_db: float = 10):
    """Return what makes evidence of healthy pairs after a change of both sides."""

    def make(folder: Path) -> DataEvidence:
        clean = clean_sounds(n, seconds)
        write_pairs(folder, *change(clean, with_noise(clean, snr_db)))
        return evidence_in(folder)

    return make


def other_recordings(n_wrong: int):
    def change(clean: list, degraded: list):
        others = clean_sounds(2 * N, 3.0)[N:]
        return clean, [*with_noise(others[:n_wrong], 5), *degraded[n_wrong:]]

    return pairs(change, seconds=3.0, snr_db=5)


def later(n_samples: int):
    return pairs(lambda clean, degraded: (clean, [np.pad(d, (n_samples, 0))[: len(d)] for d in degraded]), snr_db=0)


def later_each(most: int):
    lags = np.random.default_rng(3).integers(0, 2 * most, N)
    return pairs(
        lambda clean, degraded: (
            [np.pad(c, (most, 0))[: len(c)] for c in clean],
            [np.pad(d, (int(n), 0))[: len(d)] for d, n in zip(degraded, lags, strict=True)],
        )
    )


def clipped(below_db: float):
    limit = 10 ** (-below_db / 20)
    cut = lambda sound: np.clip(sound, -limit * np.abs(sound).max(), limit * np.abs(sound).max())  # noqa: E731
    return pairs(lambda clean, degraded: ([cut(sound) for sound in clean], degraded), 4, 1.0)


def with_rates(rate: int):
    def make(folder: Path) -> DataEvidence:
        clean = clean_sounds(4, 1.0)
        write_pairs(folder, clean, with_noise(clean, 10), (RATE, rate))
        return evidence_in(folder)

    return make


def spoilt(harm: Callable[[Path], None]):
    def make(folder: Path) -> DataEvidence:
        clean = clean_sounds(4, 1.0)
        write_pairs(folder, clean, with_noise(clean, 10))
        harm(folder / "clean" / "pair2.wav")
        return evidence_in(folder)

    return make


def put_nan(path: Path) -> None:
    sound, rate = soundfile.read(path)
    sound[1000] = np.nan
    soundfile.write(path, sound, rate, subtype="FLOAT")


def sampled_up(rate: int):
    from resound.audio.segments import resample

    def make(folder: Path) -> DataEvidence:
        slow = [np.random.default_rng(seed).standard_normal(rate).astype(np.float32) / 10 for seed in range(4)]
        clean = [resample(sound[None], rate, 48000)[0] for sound in slow]
        write_pairs(folder, clean, clean, 48000)
        return evidence_in(folder)

    return make


def narrow_in_noise(n_open: int):
    def change(clean: list, degraded: list) -> tuple[list, list]:
        narrow = [low_passed(sound, 3000) for sound in clean]
        noisy = with_noise(narrow, 10)
        return narrow, [*noisy[:n_open], *(low_passed(sound, 3000) for sound in noisy[n_open:])]

    return pairs(change)


def over_a_floor(noise_db: float):
    def change(clean: list, degraded: list) -> tuple[list, list]:
        floored, noisy = with_noise(clean, 26), with_noise(clean, noise_db)
        return floored, [f + (n - c)[::-1] for f, n, c in zip(floored, noisy, clean, strict=True)]

    return pairs(change, 8, 3.0)


def leak(change: Callable[[np.ndarray], np.ndarray]):
    def make(folder: Path) -> DataEvidence:
        sounds = clean_sounds(12, 4.0)
        write_pairs(folder, [*sounds[:6], change(sounds[8])], sounds[5:])
        sides = [sorted((folder / side).glob("*.wav")) for side in ("clean", "degraded")]
        return DataEvidence(splits=splits_of(sides[0], sides[1][1:], ({"a"}, {"b"}), DoctorSettings()))

    return make


def common_speaker(folder: Path) -> DataEvidence:
    return DataEvidence(splits=splits_of([], [], ({"a", "b"}, {"b", "c"}), DoctorSettings()))


def of_sums(gain: float):
    def make(folder: Path) -> DataEvidence:
        sounds = clean_sounds(8, 1.0)
        write_pairs(folder, sounds[:4], sounds[4:])
        mixtures = [gain * (one + other) for one, other in zip(sounds[:4], sounds[4:], strict=True)]
        write_pairs(folder / "mixed", mixtures, mixtures)
        return evidence_of_sums(folder / "mixed/clean", [folder / "clean", folder / "degraded"], DoctorSettings())

    return make


def unlike(**target):
    usual = {"full_snr_db": 20.0, "tilt_db_per_octave": -3.0, "bandwidth_hz": 6000.0, "crackle": None, "hum": None}
    both = SimpleNamespace(
        target=[SimpleNamespace(**{**usual, **target})], training=SimpleNamespace(**usual), snr_db=20.0
    )
    return lambda folder: DataEvidence(resemblance=both)  # type: ignore[arg-type]


def given(**evidence):
    return lambda folder: DataEvidence(**evidence)


def data_fault(code: str, words: str, make: Callable[..., Any], *strength: Any, **settings: Any) -> Fault:
    """Return a fault whose words hold its strength."""
    return Fault(code, words.format(*strength), make(*strength), DoctorSettings(**settings))


DATA = [
    data_fault("DATA01", "{} of 8 pairs hold another recording", other_recordings, 3),
    data_fault("DATA02", "{} samples at 16 kHz, at 0 dB SNR", later, 3),
    data_fault("DATA02", "each pair by up to {} samples", later_each, 60),
    data_fault("DATA03", "16000 Hz on one side, {} Hz on the other", with_rates, 16100),
    data_fault(
        "DATA04", "{} samples at 16 kHz", lambda n: pairs(lambda c, d: (c, [np.pad(s, (0, n)) for s in d]), 4, 1.0), 20
    ),
    data_fault(
        "DATA05", "one of 8 files, quieter by {} dB (about -62 dBFS)",
        lambda db: pairs(lambda c, d: ([c[0] * 10 ** (-db / 20), *c[1:]], d), 4, 1.0), 42,
    ),
    data_fault("DATA06", "{} dB below the peaks", clipped, 3),
    data_fault(
        "DATA07", "{:.1%} of full scale", lambda dc: pairs(lambda c, d: ([s + dc for s in c], d), 4, 1.0), 0.006
    ),
    data_fault(
        "DATA08", "one file without its last {} bytes",
        lambda n: spoilt(lambda path: path.write_bytes(path.read_bytes()[:-n]) and None), 2000,
    ),
    data_fault("DATA08", "one NaN in one of 8 files", lambda: spoilt(put_nan)),
    data_fault(
        "DATA09", "a channel at {} dB",
        lambda db: pairs(lambda c, d: ([np.stack([s, s * 10 ** (db / 20)]) for s in c],) * 2, 4, 1.0), -100,
    ),
    data_fault("DATA10", "{} Hz sampled up to 48000 Hz", sampled_up, 24000),
    data_fault(
        "DATA11", "white noise at {} dB SNR",
        lambda db: pairs(lambda c, d: (with_noise(c, db),) * 2, 4, 3.0), 16,
    ),
    data_fault("DATA12", "one speaker in both", lambda: common_speaker),
    data_fault("DATA12", "one file, {} dB quieter", lambda db: leak(lambda s: s * 10 ** (-db / 20)), 10),
    data_fault(
        "DATA12", "... in white noise at {} dB SNR", lambda db: leak(lambda s: with_noise([s], db)[0]), 10
    ),
    data_fault("DATA13", "{} h that stay the same", lambda h: given(amount=Amount(h, 50, 800, True)), 4.9),
    data_fault("DATA13", "{} h mixed anew", lambda h: given(amount=Amount(h, 50, 800, False)), 0.4),
    data_fault("DATA13", "{} speakers", lambda n: given(amount=Amount(20, n, 800, False)), 7),
    data_fault(
        "DATA14", "{} dB above the range asked for",
        lambda db: pairs(lambda c, d: (c, with_noise(c, 20 + db))), 3, data={"snr_db": (0, 20)},
    ),
    data_fault("DATA15", "SNR {} dB apart", lambda db: unlike(full_snr_db=20.0 - db), 9),
    data_fault("DATA15", "{} dB an octave", lambda db: unlike(tilt_db_per_octave=-3.0 - db), 4.5),
    data_fault("DATA15", "bandwidth {} octaves apart", lambda n: unlike(bandwidth_hz=6000 / 2**n), 0.75),
    data_fault("DATA15", "{} ticks a second", lambda n: unlike(crackle=SimpleNamespace(per_second=n)), 2),
    data_fault("DATA15", "a hum at {} dB", lambda db: unlike(hum=SimpleNamespace(level_db=db)), -34),
    data_fault("DATA16", "a gain of {}", of_sums, 1.02),
    data_fault("DATA17", "{} examples", lambda n: given(validation=Validation(n, 0.1)), 40),
    data_fault("DATA17", "{} times the training's cost", lambda cost: given(validation=Validation(100, cost)), 1.1),
    data_fault(
        "DATA18", "{} dB, at 5 dB SNR",
        lambda db: pairs(lambda c, d: (c, [s * 10 ** (db / 20) for s in d]), snr_db=5), 1.3,
    ),
    data_fault("DATA19", "{} of 8 pairs, at 0 dB SNR",
               lambda n: pairs(lambda c, d: (c, [*(-s for s in d[:n]), *d[n:]]), snr_db=0), 1),
    data_fault(
        "DATA20", "{:.0%} of the examples",
        lambda off: given(shares=Shares({"speech": 0.8, "music": 0.2}, {"speech": 0.8 + off, "music": 0.2 - off})),
        0.06,
    ),
    data_fault("DATA21", "{} of 8 pairs, narrow ones in wide noise", narrow_in_noise, 7),
    data_fault(
        "DATA22", "white noise at {} dB SNR, the clean side's own at 26 dB",
        over_a_floor, 24,
    ),
]  # fmt: skip


def outputs(change: Callable[[Three], Three], n: int = 3, seconds: float = 3.0, snr_db: float = 5.0):
    """Return what makes evidence of healthy outputs after a change."""
    return lambda folder: change(speech(n, seconds, snr_db)).evidence(folder)


def each_output(change: Callable[[np.ndarray], np.ndarray], **of_speech: Any):
    return outputs(lambda three: three.with_output(change), **of_speech)


def undone(share: float):
    def change(three: Three) -> Three:
        mixed = [share * d + (1 - share) * e for d, e in zip(three.degraded, three.enhanced, strict=True)]
        return replace(three, enhanced=mixed)

    return outputs(change)


def muted_when_quiet(lost_db: float):
    def change(three: Three) -> Three:
        levels_db = np.linspace(0, -30, len(three.clean))
        sides = [
            [10 ** (level_db * slope / 20) * sound for level_db, sound in zip(levels_db, side, strict=True)]
            for side, slope in ((three.clean, 1), (three.degraded, 1), (three.enhanced, 1 + lost_db / 24))
        ]
        return Three(*sides)

    return outputs(change, n=6)


def noisier(n: int):
    return outputs(lambda three: replace(three, enhanced=[*with_noise(three.degraded, 3)[:n], *three.enhanced[n:]]))


def other_references(n: int):
    others = clean_sounds(12, 3.0)[6:]
    return outputs(lambda three: replace(three, clean=[*others[:n], *three.clean[n:]]), n=6)


OUTPUT = [
    data_fault(
        "OUT01", "{:.0%} of all tenths of a second, at random, 30 dB quieter",
        lambda share: each_output(lambda sound: syllables_lost(sound, share), snr_db=10.0), 0.65,
    ),
    data_fault("OUT02", "{:.0%} of the input in the output", undone, 0.93),
    data_fault("OUT03", "{} dB", lambda db: each_output(lambda sound: 10 ** (db / 20) * sound), 2),
    data_fault("OUT04", "{} samples at 16 kHz", lambda n: each_output(lambda sound: moved(sound, n)), 3),
    data_fault(
        "OUT05", "steps of {} dB each 0.73 s, in three recordings of 24 s",
        lambda db: each_output(lambda sound: stepped(sound, 0.73, db), seconds=24.0), 2,
    ),
    data_fault("OUT06", "{} dB between recordings 24 dB apart", muted_when_quiet, 4),
    data_fault("OUT07", "{} recording of 3", noisier, 1),
    data_fault(
        "OUT08", "one recording of 3, {} dB below its peaks",
        lambda db: outputs(lambda three: three.with_output(lambda sound: clipped_at(sound, db), 1)), 4,
    ),
    data_fault("OUT09", "a low-pass at {} Hz of 8000", lambda hz: each_output(lambda s: low_passed(s, hz)), 5500),
    data_fault("OUT10", "{} references of 6 swapped", other_references, 2),
    data_fault(
        "OUT10", "references {} samples late",
        lambda n: outputs(lambda three: replace(three, clean=[moved(sound, n) for sound in three.clean])), 40,
    ),
    data_fault(
        "OUT11", "{} recording of 3",
        lambda n: outputs(lambda three: three.with_output(lambda sound: -sound, n)), 1,
    ),
    data_fault("OUT12", "{:g} of full scale", lambda dc: each_output(lambda sound: sound + dc), 0.006),
]  # fmt: skip

# In the order of the kinds of fault of each code in its table; the numbers are those of the table's first of a kind.
WORDS = {
    "PLAN01": ["a checkpoint every {:,} of 20,000 steps", "{:.0e} bytes of 1e+11 free"],
    "PLAN02": ["{0:.0%} of the run at 1/{1:,} of the rate", "a rate of {:g}", "a warm-up of {:,} of 20,000 steps"],
    "PLAN03": ["{:,} samples at 8 kHz, to separate"],
    "PLAN04": ["{:,} samples for frames of 128", "{:,} samples for a context of 10,200"],
    "PLAN05": ["{:,} steps, validated every 500"],
    "PLAN06": ["{:.2g} bytes of 1.6e+10"],
    "PLAN07": ["a hop of {} for windows of 512", "a window of {} samples at 16 kHz"],
    "PLAN08": ["a loss of {} alone", "si_sdr alone"],
    "PLAN09": ["the same {:,} examples 200 times and more", "{:,} examples, 160,000 seen"],
    "PLAN10": ["the past moves by {} dB"],
    "PLAN11": ["a stride of {} for filters of 40"],
    "PLAN12": ["weights of {:,} Hz at 8,000 Hz", "a preset of {:,} Hz at 8,000 Hz", "PESQ at 44.1 kHz"],
    "PROBE01": ["losses of {0:g} (right), {1:g} (input), {2:g} (silence)"],
    "PROBE02": ["{} dB gained"],
    "PROBE03": ["{} parameter without gradient", "{} with NaN"],
    "PROBE04": ["{} dB between 0 and -50 dBFS", "{} dBFS out of silence"],
    "PROBE05": ["{} s an example, 0.4 s a step of 8, 2 workers"],
    "PROBE06": ["a difference of {:g}"],
    "RUN01": ["the best {:.0%} of the run ago"],
    "RUN02": ["a gap of {} dB beside what is normal", "{:.0%} of the gain lost"],
    "RUN03": ["{0} dB, correlation {1}"],
    "RUN04": ["{} dB from the input"],
    "RUN05": ["growth by {} times", "a norm shrunk to {:g}", "a median norm {} times the usual 2, limit 5"],
    "RUN06": ["{0:.0%} of the run at 1/{1:,} of the rate", "a rate of {:g}"],
    "RUN07": ["{} dB, the classic chain 1.5 dB"],
    "RUN08": ["{:.1%} told rightly", "{:.1%} told rightly", "said {} times, of a loss near 13"],
    "RUN09": ["{:.0%} of the best PESQ lost"],
    "RUN10": ["one NaN or Inf in {0}", "the metric's last value"],
    "RUN11": ["{} dB from the middle of a band of 1.4 dB to both sides"],
    "RUN12": ["{} dB"],
    "RUN13": ["an SI-SDR of {} dB, times -1", "an offset of {} dB"],
}


def of_tables() -> list[Fault]:
    """Return the weakest of each kind in the tables of plans, probes, runs, and of what else has a table."""
    faults, seen = [], set()
    for code, make, strength in [*PLAN, *PROBE, *RUN]:
        kind = (code, make.__code__)
        if kind in seen:
            continue
        number = sum(each == code for each, _ in seen)
        seen.add(kind)
        words = WORDS.get(code, [])
        told = words[number].format(*map(plain, strength)) if number < len(words) else ""
        faults.append(Fault(code, told, lambda folder, make=make, strength=strength: make(*strength)))
    return faults


def plain(value: Any) -> Any:
    return " and ".join(value) if isinstance(value, list) else value


FAULTS = [*DATA, *of_tables(), *OUTPUT]

"""Makes what pages of the documentation play and show: `separate` on two voices at once, `timbre` behind `classic`.

    python scripts/players.py separate
    python scripts/players.py timbre

The voices are synthetic (espeak-ng, which has to be installed) and say sentences of ours, so that the sounds are free.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

import resound
from resound.dsp.active import active_speech_power
from resound.dsp.permutation import best_matching
from resound.dsp.resampling import resample
from resound.inference.picture import Spectrograms
from resound.inference.separation import SeparationReport, open_separator, separate_blocks
from resound.judging.scores import si_sdr
from resound.metrics import log_spectral_distance

RATE = 16000
SNR_DB = 5.0
LEVEL_DBFS = -26.0
SPOKEN = (
    ("en-us+f3", "145", "The boat that we took to the island was older than my father, and it leaked a little."),
    ("en+m1", "155", "Nobody had told the baker about the wedding, so there was bread but there was no cake."),
)
DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Make what is asked for."""
    made = {"separate": separate, "timbre": timbre}
    if len(sys.argv) != 2 or sys.argv[1] not in made:
        sys.exit(f"give one of {', '.join(made)}")
    (DOCS / "sounds").mkdir(exist_ok=True)
    made[sys.argv[1]]()


def separate() -> None:
    """Write the sounds and the picture, and tell how well they are separated."""
    spoken = [said(*words) for words in SPOKEN]
    sources = np.stack([voice[: min(map(len, spoken))] for voice in spoken])
    mixture = sources.sum(axis=0)
    told = SeparationReport()
    parts = separate_blocks([mixture[None]], open_separator(), sample_rate=RATE, check=True, report=told)
    voices = np.concatenate([voices for _, voices in parts], axis=-1)[:, 0]
    voices = voices[best_matching(si_sdr(voices[None], sources[:, None])).order]
    for name, sound in (("mixture", mixture), ("voice_1", voices[0]), ("voice_2", voices[1])):
        write(f"separate_{name}", sound)
    picture = Spectrograms(RATE, len(mixture) / RATE, names=("both", "voice 1", "voice 2"))
    picture.add(mixture[None], voices[:1], voices[1:])
    picture.draw(DOCS / "images" / "separate.png", title="two voices at once, and what separate makes of them", dpi=100)
    gain_db = si_sdr(voices, sources) - si_sdr(mixture[None], sources)
    print(
        f"{len(mixture) / RATE:.1f} s; SI-SDR gains {gain_db.round(1)} dB; agreement {told.agreement.ratio_db:.1f} dB"
    )


def timbre() -> None:
    """Write the sounds and the picture, and tell what changes."""
    clean = said(*SPOKEN[0])
    noise = rushing(len(clean))
    noise *= 10 ** ((LEVEL_DBFS - SNR_DB) / 20) / np.std(noise)
    noisy = clean + noise
    denoised = resound.restore(noisy, RATE, model="classic")
    sounds = {"noisy": noisy, "classic": denoised, "timbre": resound.repair(denoised, noisy, RATE), "clean": clean}
    for name, sound in sounds.items():
        write(f"timbre_{name}", sound)
    picture = Spectrograms(RATE, len(clean) / RATE, names=("noisy", "classic", "then timbre", "clean"))
    picture.add(*(sound[None] for sound in sounds.values()))
    picture.draw(
        DOCS / "images" / "timbre.png", title="what the classic chain leaves, and what timbre makes of it", dpi=90
    )
    for name, sound in sounds.items():
        distances = [log_spectral_distance(sound, clean, RATE, from_hz=hz) for hz in (0, 4000)]
        print(f"{name}: LSD {distances[0]:.2f} dB, above 4 kHz {distances[1]:.2f}")


def rushing(n_samples: int) -> NDArray:
    """Return noise as of a road: pink, coming and going."""
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20), n_samples)
    seconds = np.arange(n_samples) / RATE
    return pink * (1 + 0.6 * np.sin(2 * np.pi * 0.4 * seconds))


def write(name: str, sound: NDArray) -> None:
    """Write a sound of the documentation."""
    soundfile.write(DOCS / "sounds" / f"{name}.mp3", sound, RATE, subtype="MPEG_LAYER_III")


def said(voice: str, words_per_minute: str, text: str) -> NDArray:
    """Return a sentence, spoken, at the active level."""
    try:
        spoken = subprocess.run(
            ["espeak-ng", "-v", voice, "-s", words_per_minute, "--stdout", text], capture_output=True, check=True
        )
    except FileNotFoundError:
        sys.exit("espeak-ng is not installed; on Debian: apt install espeak-ng")
    except subprocess.CalledProcessError as error:
        sys.exit(f"espeak-ng: voice {voice!r} fails: {error.stderr.decode().strip()}")
    samples, rate = soundfile.read(io.BytesIO(spoken.stdout))
    sound = resample(samples[None], rate, RATE)[0]
    power = active_speech_power(sound[None].astype(np.float32), RATE)
    return 10 ** (LEVEL_DBFS / 20) / np.sqrt(power) * sound


if __name__ == "__main__":
    main()

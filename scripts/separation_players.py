"""Makes what `docs/separate.md` plays and shows: two voices at once, and what `separate` makes of them.

    python scripts/separation_players.py

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

from resound.dsp.active import active_speech_power
from resound.dsp.permutation import best_matching
from resound.dsp.resampling import resample
from resound.inference.picture import Spectrograms
from resound.inference.separation import SeparationReport, open_separator, separate_blocks
from resound.judging.scores import si_sdr

RATE = 16000
LEVEL_DBFS = -26.0
SPOKEN = (
    ("en-us+f3", "145", "The boat that we took to the island was older than my father, and it leaked a little."),
    ("en+m1", "155", "Nobody had told the baker about the wedding, so there was bread but there was no cake."),
)
DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Write the sounds and the picture, and tell how well they are separated."""
    spoken = [said(*words) for words in SPOKEN]
    sources = np.stack([voice[: min(map(len, spoken))] for voice in spoken])
    mixture = sources.sum(axis=0)
    told = SeparationReport()
    parts = separate_blocks([mixture[None]], open_separator(), sample_rate=RATE, check=True, report=told)
    voices = np.concatenate([voices for _, voices in parts], axis=-1)[:, 0]
    voices = voices[best_matching(si_sdr(voices[None], sources[:, None])).order]
    folder = DOCS / "sounds"
    folder.mkdir(exist_ok=True)
    for name, sound in (("mixture", mixture), ("voice_1", voices[0]), ("voice_2", voices[1])):
        soundfile.write(folder / f"separate_{name}.mp3", sound, RATE, subtype="MPEG_LAYER_III")
    picture = Spectrograms(RATE, len(mixture) / RATE, names=("both", "voice 1", "voice 2"))
    picture.add(mixture[None], voices[:1], voices[1:])
    picture.draw(DOCS / "images" / "separate.png", title="two voices at once, and what separate makes of them", dpi=100)
    gain_db = si_sdr(voices, sources) - si_sdr(mixture[None], sources)
    print(
        f"{len(mixture) / RATE:.1f} s; SI-SDR gains {gain_db.round(1)} dB; agreement {told.agreement.ratio_db:.1f} dB"
    )


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

"""Peak memory of whole commands: a minute against two hours of stereo sound, a minute against half an hour of video.

Each command is a process of its own; told is the largest resident set it ever had.  The recordings are made here, block
by block, so that making them needs no memory either (2 hours of 48 kHz stereo are 1.4 GB of WAV, and as much again for
the result: choose a folder with room with ``--temporary``).

    python benchmarks/restore_memory.py
    python benchmarks/restore_memory.py --long-minutes 30 --video-minutes 5      # sooner done
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

from common import machine, parser_for, print_table  # keeps numpy to one thread: first

# isort: split
import numpy as np
from numpy.typing import NDArray

MOST_GROWTH_MB, MOST_MB = 100, 600
SAMPLE_RATE = 48_000
# A small parent: a child's peak starts at what its parent held when it forked.
MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, time.perf_counter() - start)
"""


def second_of_sound(number: int) -> NDArray:
    """Return the second with this number, ``(time, 2)`` int16: a voice-like tone that pauses, over hiss and hum."""
    rng = np.random.default_rng(number)
    time = number + np.arange(SAMPLE_RATE) / SAMPLE_RATE
    pitch = sum(np.sin(2 * np.pi * 150 * n * time) / n for n in range(1, 12)) * (np.sin(2 * np.pi * 0.4 * time) > -0.2)
    hum = np.sin(2 * np.pi * 50 * time) + 0.5 * np.sin(2 * np.pi * 100 * time)
    sound = (0.1 * pitch + 0.01 * hum)[:, None] + 0.005 * rng.standard_normal((SAMPLE_RATE, 2))
    for start in rng.integers(0, SAMPLE_RATE - 20, 5):
        sound[start : start + 15] += 0.3 * rng.standard_normal((15, 1))
    return np.round(32767 * sound.clip(-1, 1)).astype(np.int16)


def write_sound(path: Path, minutes: float) -> None:
    """Write a stereo recording, second by second."""
    import soundfile

    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_16") as handle:
        for number in range(round(60 * minutes)):
            handle.write(second_of_sound(number))


def write_video(path: Path, minutes: float) -> None:
    """Write a small film with stereo FLAC sound, second by second."""
    import av

    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt, video.bit_rate = 320, 240, "yuv420p", 1_000_000
        audio = container.add_stream("flac", rate=SAMPLE_RATE, layout="stereo")
        rng = np.random.default_rng(25)
        grain = rng.integers(0, 60, (8, 240, 320, 3), dtype=np.uint8)
        for number in range(round(60 * minutes)):
            for index in range(25):
                picture = grain[index % 8].copy()
                picture[:, (25 * number + index) % 320] = 255
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = 25 * number + index, Fraction(1, 25)
                container.mux(video.encode(frame))
            sound = av.AudioFrame.from_ndarray(second_of_sound(number).reshape(1, -1), format="s16", layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, number * SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def peak_of(source: Path, output: Path) -> tuple[float, float]:
    """Return the peak memory of restoring a file in MB, and the seconds it took."""
    command = [sys.executable, "-c", "from resound.cli.main import main; main()"]
    command += ["restore", str(source), "--model", "classic", "-o", str(output)]
    command += ["--removed", str(output.with_name("removed.wav"))]
    measured = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True)
    status, largest, seconds = measured.stdout.split()
    if status != "0":
        sys.exit(f"{source}: restoring failed: {measured.stderr.strip()[-300:]}")
    for path in output.parent.glob(f"{output.stem}*"):
        path.unlink()
    output.with_name("removed.wav").unlink()
    # ru_maxrss is in bytes on macOS, in units of 1024 bytes elsewhere
    return int(largest) * (1 if sys.platform == "darwin" else 1024) / 1e6, float(seconds)


def main() -> None:
    """Print the table."""
    parser = parser_for(__doc__, data=False)
    parser.add_argument("--long-minutes", type=float, default=120.0, help="of the long recording (120)")
    parser.add_argument("--video-minutes", type=float, default=30.0, help="of the long video (30)")
    parser.add_argument("--temporary", type=Path, help="folder for the recordings (default: the system's)")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.temporary) as name:
        for label, suffix, write, minutes in (
            ("stereo WAV", ".wav", write_sound, arguments.long_minutes),
            ("mkv with picture", ".mkv", write_video, arguments.video_minutes),
        ):
            peaks = []
            for length in (1.0, minutes):
                source = Path(name) / f"long{suffix}"
                write(source, length)
                megabytes, seconds = peak_of(source, Path(name) / f"result{suffix}")
                source.unlink()
                peaks.append(megabytes)
                growth = f"{peaks[-1] - peaks[0]:+.0f}" if len(peaks) > 1 else ""
                rows.append((label, f"{length:g} min", f"{megabytes:.0f}", growth, f"{seconds / (60 * length):.3f}"))
    print(f"{machine()}.  48 kHz, 16 bit, stereo; the result and what was removed are both written.\n")
    print(f"Wanted: at most {MOST_GROWTH_MB} MB more for the long one, and at most {MOST_MB} MB in all.\n")
    print_table(("recording", "length", "peak, MB", "more than 1 min, MB", "of real time"), rows)


if __name__ == "__main__":
    main()

"""Real old recordings through the real pipeline: how far the noise falls and whether the voice stays.

There is no clean original, so what is measured is (`resound.metrics.noise_and_active_change_db`): by how many dB the
noise in pauses fell, and by how many the active level moved once the noise power is subtracted.  Recordings without
half a second of pause say so.  And how much speech is in what was removed: its STOI against the output, which holds the
speech.  The criterion: on film and disc recordings with pauses, noise falls by at least 6 dB and the active level moves
by less than 1 dB; ``--strict``: 10 dB, 0.5 dB, and a STOI below 0.3.  Needs the extra `eval`.

Then one recording becomes the sound of two videos, drawn here (mp4 with AAC, mkv with FLAC), which are restored; told
is whether picture packets and their times are the same bytes, and the sound as long as it was.

    python benchmarks/restore_vintage.py --data ../shared/data --output restored_vintage --picture
    python benchmarks/restore_vintage.py --data ../shared/data --model film.onnx --strict
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from common import machine, need_folder, parser_for, print_table, read_mono  # keeps numpy to one thread: first

# isort: split
import numpy as np

JUDGED_GROUPS = ("nara_film", "notld1968", "edison_victor_discs", "loc_field_discs")
VIDEO_SOURCE = "vintage/notld1968/15s_there_are_two_of_them_out_there.flac"


class Criterion(NamedTuple):
    """What is asked of a recording with pauses."""

    least_fall_db: float  # of the noise in pauses
    most_change_db: float  # of the active level
    most_stoi: float = 1.0  # of what was removed, against the output


USUAL, STRICT = Criterion(6.0, 1.0), Criterion(10.0, 0.5, 0.3)


@dataclass(frozen=True)
class Finding:
    """What restoring did to one recording."""

    group: str
    name: str
    seconds: float
    fall_db: float | None  # None: no pause
    change_db: float | None
    depth_db: float | None  # how far the pauses lie below what is active, before
    clicks_before: int
    clicks_after: int
    hum_hz: float | None
    hum_removed_db: float | None
    loudness_change_db: float | None
    removed_stoi: float  # of what was removed against what came out; NaN where nothing was, or too little to judge
    wanted: Criterion

    @property
    def passes(self) -> bool | None:
        """Whether the criterion is met; None without a pause."""
        if self.fall_db is None or self.change_db is None:
            return None
        is_voice_left = not self.removed_stoi >= self.wanted.most_stoi  # NaN: no voice that could be judged
        is_level_kept = abs(self.change_db) < self.wanted.most_change_db
        return self.fall_db >= self.wanted.least_fall_db and is_level_kept and is_voice_left


def restore_one(path: Path, output: Path, picture: Path | None, *, model: str, wanted: Criterion) -> Finding:
    """Restore a recording and measure."""
    import resound
    from resound.classic.declick import Declick
    from resound.inference.inspect import inspect_recording
    from resound.metrics import noise_and_active_change_db

    report = resound.restore_file(path, output, model=model, picture=picture, overwrite=True)
    (before, sample_rate), (after, _) = read_mono(path), read_mono(output)
    changes = noise_and_active_change_db(before, after, sample_rate)
    levels = report.level_before.loudness_lufs, report.level_after.loudness_lufs
    declick = Declick(sample_rate)
    return Finding(
        path.parent.name,
        path.stem,
        len(before) / sample_rate,
        *(changes or (None, None)),
        pause_depth_db(before, sample_rate) if changes else None,
        declick.count(before),
        declick.count(after),
        inspect_recording(path).hum_hz if report.stages.get("dehum") is not None else None,
        report.stages.get("dehum"),
        None if None in levels else levels[1] - levels[0],
        removed_stoi(before, after, sample_rate),
        wanted,
    )


def removed_stoi(before: np.ndarray, after: np.ndarray, sample_rate: int) -> float:
    """Return the STOI of what was removed against the output; NaN where nothing was removed."""
    from resound.judging.perceptual import stoi

    n = min(len(before), len(after))
    removed = before[:n] - after[:n]
    return stoi(removed, after[:n], sample_rate) if removed.any() else float("nan")


def pause_depth_db(samples: np.ndarray, sample_rate: int) -> float:
    """Return how far the pauses of ``(time,)`` lie below what is active, in dB: little where music never stops."""
    from resound.metrics import frame_powers, pause_frames

    quiet, active = pause_frames(samples, sample_rate)
    powers = frame_powers(samples, sample_rate)
    return float(10 * np.log10(powers[active].mean() / powers[quiet].mean()))


def show(findings: list[Finding]) -> None:
    """Print the table of groups, the verdict, and the table of files."""
    print("### By group: medians, where there is a pause\n")
    rows = []
    for group in sorted({f.group for f in findings}):
        own = [f for f in findings if f.group == group]
        paused = [f for f in own if f.passes is not None]
        judged = f"{sum(bool(f.passes) for f in paused)} of {len(paused)}" if group in JUDGED_GROUPS else "not judged"
        seconds = sum(f.seconds for f in own)
        rows.append(
            (
                group,
                len(own),
                len(paused),
                text(median([f.fall_db for f in paused]), ".1f"),
                text(median([f.change_db for f in paused]), "+.2f"),
                text(max((f.change_db for f in paused), key=abs, default=None), "+.2f"),
                text(median([f.removed_stoi for f in paused if f.removed_stoi == f.removed_stoi]), ".2f"),
                f"{sum(f.clicks_before for f in own) / seconds:.1f} / {sum(f.clicks_after for f in own) / seconds:.1f}",
                sum(f.hum_removed_db is not None for f in own),
                judged,
            )
        )
    print_table(
        (
            "group",
            "files",
            "with pauses",
            "noise falls, dB",
            "active level, dB",
            "largest, dB",
            "STOI of the removed",
            "clicks a second, before / after",
            "with hum",
            "meet the criterion",
        ),
        rows,
    )
    judged = [f for f in findings if f.group in JUDGED_GROUPS and f.passes is not None]
    missed = [f for f in judged if not f.passes]
    wanted = findings[0].wanted
    voice = f", and less than {wanted.most_stoi:g} of STOI in what was removed" if wanted.most_stoi < 1 else ""
    print(
        f"Film and disc recordings with pauses: {len(judged) - len(missed)} of {len(judged)} have their noise lowered "
        f"by {wanted.least_fall_db:g} dB or more with the active level moved by less than {wanted.most_change_db:g} dB"
        f"{voice}.\n"
    )
    for f in missed:
        print(
            f"- not met: {f.group}/{f.name}, noise {f.fall_db:.1f} dB lower, active level {f.change_db:+.2f} dB, "
            f"pauses {f.depth_db:.0f} dB below it, STOI of what was removed {f.removed_stoi:.2f}"
        )
    print("\n### By file\n")
    print_table(
        (
            "recording",
            "seconds",
            "pauses below active, dB",
            "noise falls, dB",
            "active level, dB",
            "clicks",
            "hum, Hz",
            "loudness, LU",
            "STOI of the removed",
        ),
        [
            (
                f"{f.group}/{f.name}",
                f"{f.seconds:.1f}",
                "no pause" if f.depth_db is None else f"{f.depth_db:.0f}",
                text(f.fall_db, ".1f"),
                text(f.change_db, "+.2f"),
                f"{f.clicks_before} to {f.clicks_after}",
                "found" if f.hum_removed_db is not None and f.hum_hz is None else text(f.hum_hz, ".2f"),
                text(f.loudness_change_db, "+.1f"),
                f"{f.removed_stoi:.2f}",
            )
            for f in findings
        ],
    )


def median(values: list[float | None]) -> float | None:
    """Return the median, None of nothing."""
    return float(np.median(values)) if values else None


def text(value: float | None, form: str) -> str:
    """Return a number in a format, an empty cell for None."""
    return "" if value is None else format(value, form)


def draw_video(path: Path, sound: Path, *, codec: str) -> None:
    """Write a video with a drawn picture (a bar that crosses it, 25 a second) and a recording as its sound."""
    import av

    samples, sample_rate = read_mono(sound)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream(codec, rate=sample_rate, layout="mono")
        if codec == "aac":
            audio.bit_rate = 96_000
        step, n_frames = sample_rate // 25, len(samples) // (sample_rate // 25)
        for number in range(n_frames):
            picture = np.full((240, 320, 3), 24, dtype=np.uint8)
            picture[:, (4 * number) % 320 : (4 * number) % 320 + 8] = 220
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
            part = samples[number * step : (number + 1) * step]
            values = np.round(part * 32767).astype(np.int16) if codec == "flac" else part.astype(np.float32)
            heard = av.AudioFrame.from_ndarray(values[None], format="s16" if codec == "flac" else "fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = sample_rate, number * step, Fraction(1, sample_rate)
            container.mux(audio.encode(heard))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def picture_digest(path: Path) -> tuple[str, int]:
    """Return the MD5 of the picture packets with their times, and how many they are."""
    import av

    digest, n_packets = hashlib.md5(usedforsecurity=False), 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                seconds = None if packet.pts is None else round(float(packet.pts * packet.time_base), 3)
                digest.update(f"{seconds} ".encode() + bytes(packet))
                n_packets += 1
    return digest.hexdigest(), n_packets


def show_videos(source: Path, folder: Path, *, picture: bool, model: str, wanted: Criterion) -> None:
    """Make the two videos, restore them, print what became of them."""
    rows = []
    for suffix, codec in ((".mp4", "aac"), (".mkv", "flac")):
        film = folder / f"drawn{suffix}"
        draw_video(film, source, codec=codec)
        output = folder / f"drawn_restored{suffix}"
        drawn = folder / f"drawn{suffix}.png" if picture else None
        finding = restore_one(film, output, drawn, model=model, wanted=wanted)
        (before, n_before), (after, n_after) = picture_digest(film), picture_digest(output)
        (sound_in, _), (sound_out, _) = read_mono(film), read_mono(output)
        rows.append(
            (
                f"{suffix[1:]}, sound {codec}",
                f"{n_before} packets, {'same bytes and times' if before == after else f'CHANGED to {n_after}'}",
                f"{len(sound_in)} to {len(sound_out)} samples",
                lag_samples(sound_in, sound_out),
                text(finding.fall_db, ".1f"),
                text(finding.change_db, "+.2f"),
            )
        )
    print("### A film with sound\n")
    print_table(("video", "picture", "sound", "delay, samples", "noise falls, dB", "active level, dB"), rows)


def lag_samples(before: np.ndarray, after: np.ndarray) -> int:
    """Return by how many samples ``(time,)`` came later, where both resemble each other most."""
    n_fft = 1 << (2 * max(len(before), len(after)) - 1).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(after, n_fft) * np.fft.rfft(before, n_fft).conj(), n_fft)
    lag = int(np.argmax(likeness))
    return lag if lag < n_fft // 2 else lag - n_fft


def main() -> None:
    """Restore everything and print the tables."""
    parser = parser_for(__doc__)
    parser.add_argument("--output", type=Path, help="folder for the results (default: a temporary one)")
    parser.add_argument("--picture", action="store_true", help="also draw the spectrograms of each into --output")
    parser.add_argument("--model", default="auto", help="what restores (auto)")
    parser.add_argument("--strict", action="store_true", help="10 dB, 0.5 dB, and a STOI below 0.3")
    arguments = parser.parse_args()
    chosen = {"model": arguments.model, "wanted": STRICT if arguments.strict else USUAL}
    if importlib.util.find_spec("pystoi") is None:
        sys.exit("pystoi is not installed; pip install '.[eval]'")
    paths = sorted(need_folder(arguments.data / "vintage").rglob("*.flac"))
    if not paths:
        sys.exit(f"{arguments.data / 'vintage'}: holds no .flac; give the folder of recordings with --data")
    with tempfile.TemporaryDirectory() if arguments.output is None else nullcontext(arguments.output) as folder:
        findings = []
        for path in paths:
            output = Path(folder) / path.parent.name / path.name
            picture = output.with_suffix(".png") if arguments.picture else None
            findings.append(restore_one(path, output, picture, **chosen))
        print(f"{machine()}.  {len(findings)} recordings, model {arguments.model}.\n")
        show(findings)
        show_videos(arguments.data / VIDEO_SOURCE, Path(folder), picture=arguments.picture, **chosen)


if __name__ == "__main__":
    main()

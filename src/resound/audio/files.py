"""The front door: opens any recording for reading, and a file of any kind for writing.

>>> with open_reader("in.wav") as reader, open_writer("out.wav", reader) as writer:
...     for block in reader.blocks(65536):
...         writer.write(block)
"""

from __future__ import annotations

import difflib
import math
import os
import re
import string
from pathlib import Path

from resound.audio import containers, pcm
from resound.audio.formats import Format, Reader, Storage, Writer
from resound.errors import InputError, OutputError, nearest

# Suffixes that pick recordings out of a folder; a file given by name is opened whatever its suffix.
AUDIO_SUFFIXES = frozenset(pcm.CONTAINERS) | {
    *(".mp2", ".m4a", ".m4b", ".aac", ".ac3", ".eac3", ".wma", ".mka", ".dsf", ".dff", ".ape", ".wv", ".tta"),
    *(".gsm", ".amr", ".svx", ".8svx", ".xi"),
}
VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".vob"),
        *(".wmv", ".flv", ".ogv", ".3gp", ".mxf", ".dv"),
    }
)
# Suffixes that PyAV writes.
CONTAINER_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".flv"),
        *(".wmv", ".asf", ".m4a", ".m4b", ".mka", ".aac", ".ac3", ".eac3", ".wma", ".mp2"),
    }
)
ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")  # two letters at least: C:/ is a disk
WRITABLE = ".wav, .aiff, .flac, .ogg, .opus, .mp3, .m4a, .mp4 or .mkv"
READABLE = "WAV, AIFF, FLAC, MP3, Ogg, Opus, M4A, and the sound of MP4, MKV, MOV, WebM and AVI videos"


def open_reader(
    path: str | os.PathLike[str],
    *,
    audio_track: int | None = None,
    start_seconds: float = 0.0,
    duration_seconds: float | None = None,
) -> Reader:
    """Return an opened recording; what it is, its content decides, not its suffix.

    ``start_seconds`` and ``duration_seconds`` choose an excerpt, ``audio_track`` a track, from 1.
    Raises `InputError` for whatever cannot be read.
    """
    path = Path(path)
    _check_readable(path)
    if not 0 <= start_seconds < math.inf or not (duration_seconds is None or 0 < duration_seconds < math.inf):
        what = "it" if duration_seconds is None else f"{duration_seconds:g} s"
        raise InputError(
            f"{path}: cannot read {what} from {start_seconds:g} s; give a start of at least 0 and a duration above 0"
        )
    reason = "has several sound tracks"
    is_first_track = audio_track in (None, 1)
    if is_first_track:
        try:
            return pcm.PcmReader(path, start_seconds=start_seconds, duration_seconds=duration_seconds)
        except pcm.NotASoundFile as refusal:
            reason = str(refusal)
    _check_not_text(path)
    from resound.audio import video  # PyAV takes 50 ms to import: only where it is needed

    try:
        reader = video.open_container_reader(
            path, audio_track=audio_track, start_seconds=start_seconds, duration_seconds=duration_seconds
        )
    except InputError as error:
        if path.suffix.lower() in pcm.CONTAINERS and is_first_track:
            raise InputError(f"{reason}; convert it to WAV or get another copy") from error
        raise
    reader.warnings += _missing_end(path)
    return reader


def open_writer(
    path: str | os.PathLike[str],
    source: Reader,
    *,
    audio_codec: str | None = None,
    overwrite: bool = False,
    history: str | None = None,
) -> Writer:
    """Return a writer for the kind of file that the suffix says, else like ``source``: rate, channels, tags.

    ``history`` is a line for the coding history of broadcast WAVs.  ``audio_codec`` is for videos and M4A.
    Raises `OutputError`, also where the file would replace its own source.
    """
    path = Path(path)
    _check_not_source(path, source.path)
    suffix = path.suffix.lower()
    if suffix in CONTAINER_SUFFIXES:
        from resound.audio import video

        container = video.open_container_writer(path, source, audio_codec=audio_codec, overwrite=overwrite)
        container.warnings += _another_kind(path, source.path)
        return container
    check_suffix(path)
    if audio_codec is not None:
        raise OutputError(
            f"{path}: {suffix} has its own codec, {audio_codec!r} cannot be had; leave it out or write .mka"
        )
    writer = pcm.open_writer_like(path, source, overwrite=overwrite, history=history)
    writer.warnings += _another_kind(path, source.path)
    return writer


def _another_kind(path: Path, source: Path) -> list[str]:
    """Return a warning where a file has the kind that stands in for one which is read but not written."""
    kind = source.suffix.lower()
    fallback = ".mkv" if kind in VIDEO_SUFFIXES else ".wav"
    is_written = kind in pcm.CONTAINERS or kind in CONTAINER_SUFFIXES
    if is_written or kind not in AUDIO_SUFFIXES | VIDEO_SUFFIXES or path.suffix.lower() != fallback:
        return []
    return [f"{path}: is written as {fallback}; {kind} files can be read but not written"]


def open_plain_writer(
    path: str | os.PathLike[str],
    *,
    sample_rate: int,
    n_channels: int,
    storage: Storage,
    overwrite: bool = False,
) -> Writer:
    """Return a writer for a sound file without metadata, which holds ``storage`` exactly if its kind can."""
    path = Path(path)
    check_suffix(path)
    plain = Format(
        container="",
        codec="",
        sample_rate=sample_rate,
        n_channels=n_channels,
        n_samples=None,
        storage=storage,
        lossless=True,
    )
    return pcm.open_writer_of(path, plain, overwrite=overwrite)


def _check_readable(path: Path) -> None:
    """Raise `InputError` for what is not a file with something in it."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give a recording, or a command that takes folders")
        if not path.exists():
            if ADDRESS.match(str(path)):
                address = ADDRESS.sub(r"\1://", str(path))  # a Path joins the slashes
                raise InputError(f"{address}: is an address, not a file; download it first and give the file")
            raise InputError(f"{path}: does not exist{_similar_file(path) or '; check the name'}")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file; save the recording to a file first")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy or record it again")
        with open(path, "rb"):
            pass
    except OSError as error:
        reason = "no permission to read it" if isinstance(error, PermissionError) else error.strerror or str(error)
        raise InputError(f"{path}: cannot be opened ({reason}); check its permissions and its disk") from None


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor does the folder {path.parent}); check the path"
    # Names without their suffixes: those are alike anyway, and a wrong one is a common mistake.
    others = {Path(name).stem: name for name in sorted(os.listdir(path.parent), reverse=True) if name != path.name}
    stem = nearest(path.stem, others)
    return "" if stem is None else f" (did you mean {others[stem]!r}?)"


def _check_not_text(path: Path) -> None:
    """Raise `InputError` when the file begins like text: PyAV would take it for subtitles."""
    with open(path, "rb") as handle:
        start = handle.read(256)
    if all(byte in string.printable.encode() or byte >= 0x80 for byte in start) and start[:1] not in b"\xff\x0b":
        shown = start[:24].decode("utf-8", "replace").strip().replace("\n", " ").replace("\r", "")
        if shown.isprintable() and "\ufffd" not in shown[:-1]:
            raise InputError(f"{path}: is text, not sound (begins with {shown!r}); give {READABLE}")


def _missing_end(path: Path) -> list[str]:
    """Return a warning when a file is cut off that libsndfile refuses for just that."""
    with open(path, "rb") as handle:
        start = handle.read(4)
    container = "CAF" if start == b"caff" else "MP3" if start[:3] == b"ID3" or start[:1] == b"\xff" else ""
    header = containers.sound_header(path, container)
    # bytes per second are 0 where a CAF is compressed
    missing_seconds = header.missing_bytes / header.bytes_per_second if header.bytes_per_second else 0.0
    if missing_seconds < 0.1:
        return []
    return [f"{path}: cut off; {missing_seconds:.2f} s that its header promises are missing"]


def _check_not_source(path: Path, source: Path) -> None:
    """Raise `OutputError` when writing ``path`` would destroy the source, also through links."""
    try:
        same = path.exists() and os.path.samefile(path, source)
    except OSError:
        same = False
    if same or os.path.abspath(path) == os.path.abspath(source):
        raise OutputError(f"{path}: is the input itself, which is never overwritten; give another name with -o")


def check_suffix(path: Path) -> None:
    """Raise `OutputError` for a suffix that says nothing about how to write."""
    suffix = path.suffix.lower()
    if suffix in pcm.CONTAINERS:
        return
    if not suffix:
        raise OutputError(f"{path}: has no suffix to say what to write; add one such as .wav, .flac or .mp3")
    if suffix in CONTAINER_SUFFIXES:
        raise OutputError(f"{path}: sound alone is not written to {suffix}; use .wav or .flac")
    # Two letters in common are nothing among three: a stricter cutoff than for words.
    near = difflib.get_close_matches(suffix, pcm.CONTAINERS, n=1, cutoff=0.7)
    near = near or difflib.get_close_matches(suffix, sorted(CONTAINER_SUFFIXES), n=1, cutoff=0.7)
    hint = f"did you mean {near[0]!r}?" if near else f"use {WRITABLE}"
    raise OutputError(f"{path}: cannot write {suffix} files; {hint}")

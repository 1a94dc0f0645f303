"""What restoring and separating do alike with an opened recording and the files that are made from it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from resound.audio import files
from resound.audio.formats import BITS, Reader, Storage, Writer
from resound.dsp.levels import LevelMeter
from resound.errors import InputError, OutputError
from resound.inference.offline import SAMPLE_RATES

READ_BLOCK_SECONDS = 1.0
Progress = Callable[[float, float | None], None]  # (seconds done, seconds in all if known)


@dataclass(frozen=True)
class Level:
    """How loud a recording is."""

    loudness_lufs: float | None
    peak_dbfs: float | None
    rms_dbfs: float | None

    @classmethod
    def of(cls, meter: LevelMeter) -> Level:
        """Return what a meter shows."""
        return cls(*(rounded(v) for v in (meter.loudness_lufs, meter.peak_dbfs, meter.rms_dbfs)))


def check_rate(reader: Reader) -> None:
    """Raise `InputError` for a sample rate at which no stage can work."""
    (lowest, highest), rate = SAMPLE_RATES, reader.format.sample_rate
    if not lowest <= rate <= highest:
        raise InputError(
            f"{reader.path}: has {rate} samples a second, restored are {lowest} to {highest}; resample it, or mend its "
            "header if that is wrong"
        )


def difference_writer(reader: Reader, path: Path, *, overwrite: bool) -> Writer:
    """Return a writer that holds a difference of two recordings like this one exactly.

    A difference needs more bits than what it is the difference of: float32 has room for that of integers up to 24
    bits, float64 for that of float32.
    """
    form = reader.format
    storage: Storage = "float32" if BITS[form.storage] <= 24 else "float64"
    return files.open_plain_writer(
        path,
        sample_rate=form.sample_rate,
        n_channels=form.n_channels,
        storage=storage,
        overwrite=overwrite,
    )


def expected_seconds(reader: Reader) -> float | None:
    """Return the recording's length, an estimate where only decoding can tell, None if nothing is known."""
    n_samples = reader.format.n_samples or getattr(reader, "estimated_n_samples", None)
    return n_samples / reader.format.sample_rate if n_samples else None


def warnings_of(reader: Reader, *writers: Writer) -> list[str]:
    """Return what the user should know, each once."""
    warnings = list(reader.warnings)
    for writer in writers:
        warnings += writer.warnings
        if writer.n_clipped:
            warnings.append(f"{writer.path}: {writer.n_clipped} samples exceeded full scale and were clipped")
    return list(dict.fromkeys(warnings))


def versions(*more: str) -> dict[str, str]:
    """Return the versions of the packages that a result depends on."""
    packages = ["resound", "numpy", "scipy", "soxr", "soundfile", "av", "onnxruntime", *more]
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def rounded(value: float | None) -> float | None:
    """Return a figure as a log has it."""
    return None if value is None else round(value, 2)


def check_targets(source: Path, paths: Sequence[Path]) -> None:
    """Raise `OutputError` if two of the files to write, or one and the source, are the same, through links too."""
    for index, path in enumerate(paths):
        if _is_same_file(path, source):
            raise OutputError(f"{path}: is the input itself, which is never overwritten; give another name")
        if any(_is_same_file(path, other) for other in paths[:index]):
            raise OutputError(f"{path}: is named twice among the outputs; give each its own name")


def _is_same_file(path: Path, other: Path) -> bool:
    """Tell whether two names mean one file, also through links, also where it does not exist yet."""
    with contextlib.suppress(OSError):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)

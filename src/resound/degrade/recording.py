"""Degrades a whole recording: file in, file out, with the parameters that replay it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from resound.audio.atomic import atomic_file, check_free, writing
from resound.audio.files import check_suffix, open_plain_writer, open_reader
from resound.audio.formats import BITS, Format, Storage
from resound.audio.pcm import CONTAINERS
from resound.config import TOO_DEEP
from resound.degrade.chain import Chain, Drawn, apply_chain, read_drawn
from resound.degrade.degradation import Audio
from resound.errors import ConfigError, InputError, OutputError

LOSSLESS_SUFFIXES = frozenset({".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".caf", ".flac"})
LIBRARIES = ("resound", "numpy", "scipy", "soxr", "av")


class Draft(NamedTuple):
    """What is to be done to a recording."""

    chain: str  # its name, for people and for file names
    seed: int | None  # None where the steps were not drawn here
    steps: Drawn


class Degraded(NamedTuple):
    """What was written."""

    output: Path
    sample_rate: int
    seconds: float
    peak: float
    storage: Storage
    warnings: list[str]


def draw_draft(chain: Chain, name: str | Path, seed: int) -> Draft:
    """Return what a chain draws for a seed.  Raises `ConfigError` for a negative one."""
    if seed < 0:
        raise ConfigError(f"seed: {seed} is negative; give 0 or more")
    return Draft(Path(name).stem if Path(name).suffix else str(name), seed, chain.draw(np.random.default_rng(seed)))


def read_draft(path: Path) -> Draft:
    """Return what a file of parameters holds, as `params_text` wrote it.  Raises `ConfigError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror or error}); give a file that --params wrote"
        ) from None
    except RecursionError:
        raise ConfigError(f"{path}: {TOO_DEEP}") from None
    except ValueError:
        raise ConfigError(f"{path}: is no JSON; give a file that --params wrote") from None
    if not isinstance(content, dict) or "steps" not in content:
        raise ConfigError(f"{path}: has no 'steps'; give a file that --params wrote")
    try:
        read_drawn(content["steps"])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    chain = re.sub(r"[^\w.-]+", "-", str(content.get("chain") or path.stem))  # it becomes part of a file's name
    return Draft(chain[:60], None, content["steps"])


def output_name(source: Path, draft: Draft) -> str:
    """Return the default name of a result: ``film.mkv`` becomes ``film.film-1960s.wav``, as all that is lossy."""
    suffix = source.suffix if source.suffix.lower() in LOSSLESS_SUFFIXES else ".wav"
    return f"{source.stem}.{draft.chain}{suffix}"


def degrade_recording(
    source: Path,
    output: Path,
    draft: Draft,
    *,
    params: Path | None = None,
    audio_track: int | None = None,
    overwrite: bool = False,
) -> Degraded:
    """Write a degraded copy of a recording, or of the sound of a video, at its rate, channels and bit depth.

    ``params`` is where to write the JSON that replays it; both files appear, or none.
    What exceeds full scale is never clipped: then a file that holds integers becomes 32-bit float, with a warning.  The
    whole recording is in memory, a few times over as float32: an hour of 48 kHz stereo takes about 9 GB.  Raises
    `InputError`, `OutputError`.
    """
    _check_apart(source, output, params)
    check_suffix(output)
    for path in filter(None, (output, params)):
        check_free(path, overwrite=overwrite)
    audio, form, warnings = read_whole(source, audio_track=audio_track)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            degraded = apply_chain(audio, form.sample_rate, draft.steps)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    peak = float(np.abs(degraded).max(initial=0.0))
    if not np.isfinite(peak):
        raise OutputError(f"{output}: the result passes what 32-bit float holds; lower the gains of the chain")
    storage, about_peak = storage_for(output, form.storage, peak)
    with (
        _params_file(params, draft, form.sample_rate, overwrite=overwrite),
        open_plain_writer(
            output, sample_rate=form.sample_rate, n_channels=len(degraded), storage=storage, overwrite=overwrite
        ) as writer,
    ):
        for start in range(0, degraded.shape[1], 65536):
            writer.write(degraded[:, start : start + 65536].astype(np.float64))
    warnings += about_peak + writer.warnings
    return Degraded(output, form.sample_rate, degraded.shape[1] / form.sample_rate, peak, storage, warnings)


def read_whole(source: Path, *, audio_track: int | None = None) -> tuple[Audio, Format, list[str]]:
    """Return a whole recording ``(channel, time)`` float32, its format, and warnings.  Raises `InputError`."""
    with open_reader(source, audio_track=audio_track) as reader:
        blocks = [block.astype(np.float32) for block in reader.blocks(1 << 20)]
        if not blocks:
            raise InputError(f"{source}: holds no samples; give a recording with sound in it")
        return np.concatenate(blocks, axis=1), reader.format, list(reader.warnings)


def storage_for(output: Path, storage: Storage, peak: float) -> tuple[Storage, list[str]]:
    """Return how to store a peak, and a warning where that is not as it was.  Raises `OutputError`."""
    holds_float = "FLOAT" in soundfile.available_subtypes(CONTAINERS[output.suffix.lower()])
    largest = 1.0 if storage.startswith("float") else 1 - 2.0 ** (1 - BITS[storage])
    if peak <= largest or (storage.startswith("float") and holds_float):
        return storage, []
    over = f"its peak is {20 * np.log10(peak):+.1f} dBFS"
    if not holds_float:
        raise OutputError(f"{output}: {over}, which {output.suffix} would clip; write a .wav, or end with a gain step")
    return "float32", [f"{output}: {over}, so it is written as 32-bit float; nothing is clipped"]


def params_text(draft: Draft, sample_rate: int) -> str:
    """Return the JSON that replays a draft."""
    content: dict[str, Any] = {"chain": draft.chain, "seed": draft.seed, "sample_rate": sample_rate}
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return json.dumps({**content, "steps": draft.steps, "versions": versions}, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def _params_file(path: Path | None, draft: Draft, sample_rate: int, *, overwrite: bool) -> Iterator[None]:
    """Write `params_text`, if a path is given, to a file that appears once the block has ended well."""
    if path is None:
        yield
        return
    with atomic_file(path, overwrite=overwrite) as temporary:
        with writing(path, temporary):
            temporary.write_text(params_text(draft, sample_rate), encoding="utf-8")
        yield


def _check_apart(source: Path, output: Path, params: Path | None) -> None:
    if params is not None and params.resolve() in (source.resolve(), output.resolve()):
        raise OutputError(f"{params}: is the recording or the result itself; give another name with --params")
    if output.exists() and source.exists() and output.samefile(source):
        raise OutputError(f"{output}: is the input itself, which is never overwritten; give another name with -o")

"""Examples for validation, made once and then read from memory-mapped arrays.

::

    FOLDER/<key>/degraded.npy    (example, channel, time) float32: the samples themselves, not rounded to anything
    FOLDER/<key>/clean.npy       (example, channel or source, time)
    FOLDER/<key>/examples.jsonl  recipe, domain and bandwidth of each
    FOLDER/<key>/cache.json      what it was made from, written last

The key is a hash of the settings, of the manifests, of the sizes and times of all their recordings, and of this
package's own code: whatever could change a sample makes another cache.  A cache is made under another name and renamed
when it is whole.  Caches are never removed; any of the folders may be deleted by hand.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from resound.audio.alone import alone
from resound.audio.atomic import flush, write_failure
from resound.errors import ConfigError, InputError, OutputError
from resound.inference.workers import count_of_jobs, map_in_order
from resound.mixing.config import Common
from resound.mixing.example import Example, Task, place_of
from resound.mixing.identity import code_of, hash_of, material_of, recordings_of, settings_of
from resound.mixing.stream import open_epoch, open_examples

VERSION = 2  # of the folder's layout
ABOUT, LINES = "cache.json", "examples.jsonl"
SIDES = ("degraded", "clean")


class CachedExamples:
    """Examples from a cache; see `Examples`.  There is one epoch, so the epoch asked for makes no difference."""

    def __init__(self, folder: Path) -> None:
        """Open a cache.  Raises `InputError` where it is not whole."""
        self.folder = folder
        try:
            self._about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            self._arrays = {side: _mapped(folder / f"{side}.npy") for side in SIDES}
            self._lines = (folder / LINES).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{folder}: is no whole cache ({error}); delete it to have it made again") from None
        self.sample_rate = int(self._about["sample_rate"])
        self.n_examples = int(self._about["n_examples"])
        self.skipped: Counter[str] = Counter(self._about["skipped"])
        self.task: Task = self._about["task"]
        if {self.n_examples} != {len(self._lines), *map(len, self._arrays.values())}:
            raise InputError(
                f"{folder}: is no whole cache (its parts differ in length); delete it to have it made again"
            )

    def __len__(self) -> int:
        return self.n_examples

    def example(self, epoch: int, index: int) -> Example:
        """Return one example, the same for every epoch; its arrays are copies, free to be changed."""
        _, index = place_of(epoch, index, self.n_examples)
        line = json.loads(self._lines[index])
        return Example(
            degraded=np.array(self._arrays["degraded"][index]),
            clean=np.array(self._arrays["clean"][index]),
            sample_rate=self.sample_rate,
            bandwidth_hz=line["bandwidth_hz"],
            domain=line["domain"],
            recipe=line["recipe"],
            task=self.task,
        )

    def files(self) -> list[Path]:
        """Return nothing: the sound itself is here."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return what is in the cache: examples by domain, hours, what could not be used."""
        domains = Counter(json.loads(line)["domain"] for line in self._lines)
        seconds = self.n_examples * self._arrays["clean"].shape[2] / self.sample_rate
        return {
            "examples": self.n_examples,
            "hours": round(seconds / 3600, 3),
            "domains": dict(sorted(domains.items())),
            "skipped": self.skipped.total(),
            "mixing": "cached",
        }


def open_cache(
    config: Common,
    n_examples: int,
    folder: Path | None = None,
    *,
    limit_per_domain: int | None = None,
    epoch: int = 0,
    n_jobs: int = 0,
) -> CachedExamples:
    """Return the first ``n_examples`` of a config's epoch from a cache in ``folder``, made now where it is missing.

    With ``limit_per_domain`` no domain has more examples than that.  ``folder`` is by default ``resound/validation`` in
    the user's cache folder.  Processes that ask for the same cache at once wait for the first to make it.  Raises
    `ConfigError`, `InputError` for material that gives no examples, `OutputError` where the cache cannot be written.
    """
    if n_examples < 1 or (limit_per_domain is not None and limit_per_domain < 1):
        raise ConfigError(f"n_examples is {n_examples}, limit_per_domain {limit_per_domain}; give at least 1")
    folder = folder or default_folder()
    facts = _facts(config, n_examples, limit_per_domain, epoch)
    whole = folder / hash_of(facts)[:32]
    with suppress(InputError):
        return CachedExamples(whole)
    n_jobs = count_of_jobs(n_jobs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f"{whole.name}.lock"):
            with suppress(InputError):  # made by another process while this one waited
                return CachedExamples(whole)
            _make(whole, facts, config, n_jobs)
    except OSError as error:
        raise write_failure(whole, error) from None
    return CachedExamples(whole)


def default_folder() -> Path:
    """Return where caches of this user lie."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "resound" / "validation"


def _facts(config: Common, n_examples: int, limit_per_domain: int | None, epoch: int) -> dict[str, Any]:
    settings = settings_of(config)
    return {
        "format": VERSION,
        "code": code_of(),
        "numpy": np.__version__,  # whose random numbers may change with its version
        "config": settings,
        "n_examples": n_examples,
        "limit_per_domain": limit_per_domain,
        "epoch": epoch,
        "material": material_of(settings),
        "recordings": recordings_of(settings),
    }


@dataclass
class _Maker:
    """Makes examples in one process."""

    config: Common
    epoch: int
    n_examples: int

    def __post_init__(self) -> None:
        self._examples = open_epoch(self.config, self.epoch, self.n_examples)

    def __call__(self, index: int) -> tuple[Example, Counter[str]]:
        before = self._examples.skipped.copy()
        return self._examples.example(self.epoch, index), self._examples.skipped - before


def _make(whole: Path, facts: dict[str, Any], config: Common, n_jobs: int) -> None:
    """Make a cache, which gets its name when it is whole and on the disk."""
    _remove_remains(whole)
    _check_space(whole.parent, config, facts["n_examples"])
    partial_folder = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}.partial")
    partial_folder.mkdir()
    try:
        about = _fill(partial_folder, facts, config, n_jobs)
        (partial_folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for path in partial_folder.iterdir():
            flush(path)
        _give_name(partial_folder, whole)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _give_name(made: Path, whole: Path) -> None:
    """Rename a finished cache, unless another process was first, as can happen where files cannot be locked."""
    try:
        CachedExamples(whole)
    except InputError:
        shutil.rmtree(whole, ignore_errors=True)  # a damaged one
        try:
            made.rename(whole)
        except OSError:
            if not (whole / ABOUT).exists():
                raise


def _fill(folder: Path, facts: dict[str, Any], config: Common, n_jobs: int) -> dict[str, Any]:
    """Write arrays and lines, and return what is to be known about them."""
    task: Task = "enhance"
    domains: Counter[str] = Counter()
    skipped: Counter[str] = Counter(open_examples(config).skipped)
    limit = facts["limit_per_domain"] or facts["n_examples"]
    arrays = {side: _GrowingArray(folder / f"{side}.npy", facts["n_examples"]) for side in SIDES}
    try:
        with open(folder / LINES, "w", encoding="utf-8") as lines:
            made = map_in_order(
                partial(_Maker, config, facts["epoch"], facts["n_examples"]), range(facts["n_examples"]), n_jobs
            )
            for example, reasons in made:
                skipped.update(reasons)
                if domains[example.domain] == limit:
                    continue
                domains[example.domain] += 1
                task = example.task
                for side in SIDES:
                    arrays[side].append(getattr(example, side))
                line = {"domain": example.domain, "bandwidth_hz": example.bandwidth_hz, "recipe": example.recipe}
                lines.write(json.dumps(line) + "\n")
    finally:
        for array in arrays.values():
            array.close()
    return facts | {
        "sample_rate": config.sample_rate,
        "task": task,
        "n_examples": domains.total(),
        "domains": dict(sorted(domains.items())),
        "skipped": dict(skipped),
    }


class _GrowingArray:
    """A .npy file whose number of rows is known only in the end."""

    def __init__(self, path: Path, most: int) -> None:
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115 -- closed by `close`
        self._most = most
        self._shape: tuple[int, ...] = ()
        self._n_rows = 0

    def append(self, row: NDArray[np.float32]) -> None:
        """Add a row."""
        if not self._n_rows:
            self._shape = row.shape
            self._header = self._write_header(self._most)
        self._file.write(np.ascontiguousarray(row, dtype="<f4").data)
        self._n_rows += 1

    def close(self) -> None:
        """Put the true number of rows into the header; numpy leaves room for any."""
        with self._file:
            if self._n_rows:
                self._file.seek(0)
                assert self._write_header(self._n_rows) == self._header

    def _write_header(self, n_rows: int) -> int:
        form = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, form)
        return self._file.tell()


def _mapped(path: Path) -> NDArray[np.float32]:
    """Return a memory-mapped array.  Raises `ValueError` where the file is shorter than it says."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _remove_remains(whole: Path) -> None:
    """Remove what a killed process left of the same cache."""
    for path in whole.parent.glob(f".{whole.name}.*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def _check_space(folder: Path, config: Common, n_examples: int) -> None:
    n_sources = getattr(config, "n_speakers", config.n_channels)
    n_inputs = config.n_channels * len(getattr(config, "inputs", ("degraded",)))
    needed = 4 * n_examples * config.segment_samples * (n_inputs + n_sources)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: the cache takes up to {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; free some space, "
            "give another folder, or fewer examples"
        )

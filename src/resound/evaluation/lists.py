"""From folders and lists to cases: which files belong together, and what a table says of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from resound.doctor.output_lists import without_mark
from resound.doctor.pair_lists import ID_COLUMNS, csv_rows, files_of, without_partner
from resound.errors import ConfigError, InputError, counted
from resound.evaluation.cases import Case

ABOUT = ("speaker", "noise", "snr_db", "domain")
ALSO = {"snr": "snr_db", "noise_type": "noise", "spk": "speaker", "speaker_id": "speaker", "kind": "noise"}


def cases_between(
    degraded: Path,
    enhanced: Sequence[Path] = (),
    clean: Sequence[Path] = (),
    about: Path | None = None,
) -> tuple[list[Case], list[str]]:
    """Return the recordings that are on all sides, and a note on those that are not.

    Several ``clean`` or ``enhanced`` places are the voices of mixtures; one place of outputs may hold all voices, with
    ``_1``, ``_2`` ... behind the names.  Raises `InputError` where no name is on all sides.
    """
    inputs = files_of(degraded, "degraded")
    references = [files_of(place, "clean") for place in clean]
    outputs = _outputs(enhanced, inputs, len(clean))
    names = sorted(set(inputs).intersection(*references, *outputs))
    if not names:
        sides = [inputs, *references, *outputs]
        examples = " and ".join(repr(next(iter(files))) for files in sides if files)
        told = ", ".join(map(str, [degraded, *clean, *enhanced]))
        raise InputError(
            f"{told}: no name is in all of them ({examples}); give a recording one name on all sides, or lists (CSV "
            "with the columns clean, degraded and enhanced, or Kaldi scp)"
        )
    labels = _table(about) if about else _columns_beside(degraded)
    cases = [
        Case(
            name,
            inputs[name],
            tuple(files[name] for files in outputs),
            tuple(files[name] for files in references),
            labels.get(name, {}),
        )
        for name in names
    ]
    _check_not_the_same(cases)
    shown = enhanced if len(enhanced) == len(outputs) else [enhanced[0]] * len(outputs)
    places = [degraded, *clean, *shown]
    notes = [
        note
        for place, files in zip(places, (inputs, *references, *outputs), strict=True)
        for note in without_partner(files, names, place)
    ]
    if about and (missing := len([name for name in names if name not in labels])):
        notes.append(f"{about}: says nothing of {missing} of {len(names)} recordings")
    return cases, notes


def _outputs(places: Sequence[Path], inputs: dict[str, Path], n_voices: int) -> list[dict[str, Path]]:
    """Return the outputs by the names of their inputs, for each voice."""
    if len(places) != 1 or n_voices < 2:
        return [without_mark(files_of(place, "enhanced"), inputs) for place in places]
    listed = files_of(places[0], "enhanced")
    voices: list[dict[str, Path]] = [{} for _ in range(n_voices)]
    for name, path in listed.items():
        stem, _, number = name.rpartition("_")
        if number.isdigit() and 1 <= int(number) <= n_voices:
            voices[int(number) - 1][stem] = path
    if not all(voices):
        raise InputError(
            f"{places[0]}: holds no outputs NAME_1 to NAME_{n_voices} for {n_voices} voices; name them so, or give "
            "--enhanced once for each voice"
        )
    return voices


def _check_not_the_same(cases: Sequence[Case]) -> None:
    """Raise `InputError` where a side is another side itself: its scores would be perfect, and say nothing."""
    sides = [("degraded", [case.degraded for case in cases])]
    sides += [("enhanced", [case.enhanced[voice] for case in cases]) for voice in range(len(cases[0].enhanced))]
    sides += [("clean", [case.clean[voice] for case in cases]) for voice in range(len(cases[0].clean))]
    resolved = [(side, [path.resolve() if path else None for path in paths]) for side, paths in sides]
    for (one, files), (other, others) in itertools.combinations(resolved, 2):
        if files == others:
            raise InputError(f"--{one} and --{other}: are the same files; give the folder of the other side")


def _table(path: Path) -> dict[str, dict[str, str]]:
    """Return what a CSV says of recordings by their names.  Raises `InputError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason}); give a CSV") from None
    rows = csv_rows(text, path)
    columns = {(name or "").strip().lower(): name for name in (rows[0] if rows else {})}
    key = next((columns[name] for name in (*ID_COLUMNS, "path", "file", "filename") if name in columns), None)
    known = {ALSO.get(name, name): own for name, own in columns.items() if ALSO.get(name, name) in ABOUT}
    if key is None or not known:
        there = ", ".join(columns) or "none"
        raise InputError(
            f"{path}: needs a column 'name' and one of {', '.join(ABOUT)} (columns there: {there}); name them in the "
            "first row"
        )
    whole: dict[str, dict[str, str]] = {}
    shorter: dict[str, dict[str, str]] = {}  # without folder or suffix; a row of just that name goes before
    for row in rows:
        told = {name: text for name, own in known.items() if (text := (row[own] or "").strip())}
        path_or_name = Path((row[key] or "").strip())
        if path_or_name.name:
            whole[str(path_or_name)] = told
            shorter |= {path_or_name.stem: told, str(path_or_name.with_suffix("")): told}
    return shorter | whole


def _columns_beside(degraded: Path) -> dict[str, dict[str, str]]:
    """Return what the list of the inputs itself says, where it is a CSV with such columns."""
    if degraded.suffix.lower() != ".csv" or degraded.is_dir():
        return {}
    try:
        return _table(degraded)
    except InputError:
        return {}


def check_places(enhanced: Sequence[Path], clean: Sequence[Path]) -> None:
    """Raise `ConfigError` where the voices are not as many on both sides."""
    if len(clean) > 1 and len(enhanced) not in (0, 1, len(clean)):
        raise ConfigError(
            f"--clean is given {len(clean)} times and --enhanced {len(enhanced)} times; give as many voices on both "
            "sides, or one folder of outputs NAME_1, NAME_2"
        )
    if len(enhanced) > 1 and len(clean) != len(enhanced):
        raise ConfigError(
            f"--enhanced is given {len(enhanced)} times, --clean {counted(len(clean), 'time')}; give --clean once for "
            "each voice"
        )

"""Layouts of music, noise and rooms: MusicNet, FSD50K, ESC-50, MUSAN, Gramophone noise, OpenSLR 26 and 28, DNS."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from resound.corpora.layout import AUDIO, SPLITS, Facts, Layout, Tables, Tree
from resound.corpora.tables import read_rows
from resound.errors import InputError


def _musicnet(match: re.Match[str], tables: Tables) -> Facts:
    row = tables.rows.get(match["id"], {})
    # Movements of one piece, played by the same people in the same room, belong together.
    piece = "/".join(str(row[name]) for name in ("composer", "composition") if row.get(name))
    return Facts(split=match["part"], group=piece or None)


MUSICNET = Layout(
    "musicnet",
    "MusicNet, 330 recordings of classical music, 44.1 kHz (Thickstun et al. 2017; zenodo.org/records/5120004)",
    re.compile(r"(?P<part>train|test)_data/(?P<id>\d{4})" + AUDIO),
    _musicnet,
    ("music",),
    licence="CC BY 4.0",  # zenodo.org/records/5120004
    tables=lambda tree: Tables(_rows_by("id", tree.ending("musicnet_metadata.csv"))),
    part=lambda match: match["part"],
    published={"train": 320, "test": 10},
)


def _fsd50k(match: re.Match[str], tables: Tables) -> Facts:
    row = tables.rows.get(match["id"], {})
    split = "test" if match["part"] == "eval" else SPLITS.get(str(row.get("split", "")))
    return Facts(split=split, licence=_creative_commons(str(row["license"])) if row.get("license") else None)


def _fsd50k_tables(tree: Tree) -> Tables:
    """Return the split (``dev.csv``) and the licence (``*_clips_info_FSD50K.json``) of each clip."""
    rows = _rows_by("fname", tree.ending("ground_truth/dev.csv") + tree.ending("FSD50K.ground_truth/dev.csv"))
    for part in ("dev", "eval"):
        for path in tree.ending(f"{part}_clips_info_FSD50K.json"):
            for name, clip in _read_json(path).items():
                rows.setdefault(name, {})["license"] = clip.get("license") if isinstance(clip, dict) else None
    return Tables(rows)


FSD50K = Layout(
    "fsd50k",
    "FSD50K, 51,197 clips of 200 classes (Fonseca et al. 2022; zenodo.org/records/4060432)",
    re.compile(r"(?:FSD50K\.)?(?P<part>dev|eval)_audio/(?P<id>\d+)" + AUDIO),
    _fsd50k,
    ("effects",),
    licence="CC BY 4.0",  # of the whole; each clip has its own as well (FSD50K.metadata)
    tables=_fsd50k_tables,
    part=lambda match: match["part"],
    published={"dev": 40_966, "eval": 10_231},
)


def _esc50(match: re.Match[str], tables: Tables) -> Facts:
    row = tables.rows.get(match["name"], {})
    # Of its five folds, which share no source, the last one is the test and the one before validates.
    split = {"5": "test", "4": "valid"}.get(match["fold"], "train")
    is_esc10 = str(row.get("esc10", "")).lower() == "true"
    return Facts(split=split, group=match["clip"], licence="CC BY 3.0" if is_esc10 else None)


ESC50 = Layout(
    "esc50",
    "ESC-50, 2,000 clips of 50 classes, 5 s each (Piczak 2015; github.com/karolpiczak/ESC-50)",
    re.compile(r"audio/(?P<name>(?P<fold>[1-5])-(?P<clip>\d+)-[A-Z]-\d+)" + AUDIO),
    _esc50,
    ("effects",),
    licence="CC BY-NC 3.0",  # its LICENSE; the clips of ESC-10 are CC BY
    tables=lambda tree: Tables(
        {_stem(key): row for key, row in _rows_by("filename", tree.ending("esc50.csv")).items()}
    ),
    published={"": 2_000},
)

MUSAN_LANGUAGES = {
    "english": "en", "spanish": "es", "french": "fr", "german": "de", "russian": "ru", "dutch": "nl", "chinese": "zh",
    "hungarian": "hu", "arabic": "ar", "italian": "it", "danish": "da", "hebrew": "he", "japanese": "ja",
    "polish": "pl", "latin": "la", "portuguese": "pt", "tagalog": "tl",
}  # fmt: skip


def _musan(match: re.Match[str], tables: Tables) -> Facts:
    kind, note = match["kind"], str(tables.rows.get(match["name"], {}).get("note", ""))
    if kind == "speech":
        language = next((MUSAN_LANGUAGES[word] for word in note.lower().split() if word in MUSAN_LANGUAGES), None)
        return Facts(domain="speech", speaker=match["name"], language=language)
    artist = " ".join(note.split()[2:]) if kind == "music" else ""  # genre, vocals, artist
    return Facts(domain=kind, group=f"{match['source']}/{artist}" if artist else None)


def _musan_tables(tree: Tree) -> Tables:
    """Return what ANNOTATIONS in each folder says of its recordings."""
    lines = [line for path in tree.ending("ANNOTATIONS") for line in _read_text(path).splitlines()]
    split = (line.strip().partition(" ") for line in lines)
    return Tables({name: {"note": note} for name, _, note in split if name})


MUSAN = Layout(
    "musan",
    "MUSAN, music, speech and noise, 16 kHz (Snyder et al. 2015; openslr.org/17)",
    re.compile(
        r"(?P<name>(?P<kind>music|speech|noise)-(?P<source>fma|fma-western-art|hd-classical|jamendo|rfm|librivox|us-gov|"
        r"free-sound|sound-bible)-\d{4})" + AUDIO
    ),
    _musan,
    ("speech", "music", "noise"),
    licence="CC BY 4.0",  # openslr.org/17; LICENSE in each folder has that of each recording
    tables=_musan_tables,
    part=lambda match: match["kind"],
    published={"music": 660, "speech": 426, "noise": 930},
)


def _gramophone(match: re.Match[str], tables: Tables) -> Facts:
    recording = match["recording"] if match["where"] else None
    row = tables.rows.get(recording or "", {})
    return Facts(split=SPLITS.get(str(row.get("split", "")).strip()), group=recording)


def _gramophone_tables(tree: Tree) -> Tables:
    """Return the rows of ``info.csv``: recording, split, and its segments, a Python list of file names."""
    rows, listed = {}, []
    for path in _gramophone_lists(tree):
        folder = path.parent.relative_to(tree.root).as_posix()
        for row in read_rows(path):
            rows[row["recording"]] = row
            names = [name for name in _list_of_names(row.get("segments", "")) if name]
            listed += [f"{folder}/{row['recording']}/{name}".removeprefix("./") for name in names]
    return Tables(rows, listed)


def _gramophone_lists(tree: Tree) -> list[Path]:
    needed = {"recording", "segments", "split"}
    return [path for path in tree.ending("info.csv") if any(needed <= row.keys() for row in read_rows(path)[:1])]


GRAMOPHONE = Layout(
    "gramophone-noise",
    "Gramophone Record Noise Dataset, 44.1 kHz (Moliner and Välimäki 2022; research.spa.aalto.fi, icassp22-denoising)",
    re.compile(r"^(?P<root>[^/]+)/(?P<where>(?:[^/]+/)*?(?P<recording>[^/]+)/)?[^/]+" + AUDIO),
    _gramophone,
    ("noise",),
    tables=_gramophone_tables,
    likeness=lambda tree: 1.0 if _gramophone_lists(tree) or "gramophone" in tree.root.name.lower() else 0.0,
)


def room_of(path: str) -> str:
    """Return what tells the rooms of OpenSLR 26 and 28 apart: a room must not be in two splits."""
    simulated = re.search(r"((?:small|medium|large)room/Room\d+)/", path)
    if simulated:
        return simulated[1]
    stem = path.rpartition("/")[2].rpartition(".")[0]
    measured = re.match(r".*?room\d", stem)
    return measured[0] if measured else re.sub(r"[\d_]+$", "", stem)


def _rirs(match: re.Match[str], tables: Tables) -> Facts:
    is_noise = match["kind"] == "pointsource_noises" or "_noise_" in match["name"]
    return Facts(domain="noise" if is_noise else "room", group=None if is_noise else room_of(match[0]))


RIRS_NOISES = Layout(
    "rirs-noises",
    "Simulated and measured room responses with noises (Ko et al. 2017; openslr.org/26 and openslr.org/28)",
    re.compile(
        r"(?P<kind>simulated_rirs(?:_\d+k)?|real_rirs_isotropic_noises|pointsource_noises)/(?:[^/]+/)*(?P<name>[^/]+)"
        + AUDIO
    ),
    _rirs,
    ("room", "noise"),
    licence="Apache-2.0",  # openslr.org/28
    part=lambda match: match["kind"].replace("_16k", "|16k").replace("_8k", "|8k"),
    published={"simulated_rirs": 60_000, "pointsource_noises": 843},
)

# Folders of clean speech: language and licence, as the README of DNS-Challenge lists its sources.
DNS_VOICES: dict[str, tuple[str | None, str]] = {
    "read_speech": ("en", "Public Domain (LibriVox)"), "french_speech": ("fr", "Public Domain (LibriVox)"),
    "german_speech": ("de", "Public Domain (LibriVox)"), "italian_speech": ("it", "Public Domain (LibriVox)"),
    "russian_speech": ("ru", "Public Domain (LibriVox)"), "spanish_speech": ("es", "Public Domain (LibriVox)"),
    "mandarin_speech": ("zh", "Apache-2.0"), "emotional_speech": ("en", "DbCL 1.0 (CREMA-D)"),
    "singing_voice": (None, "CC BY 4.0 (VocalSet)"), "VocalSet_48kHz_mono": (None, "CC BY 4.0 (VocalSet)"),
    "vctk_wav48_silence_trimmed": ("en", "ODC-By 1.0 (VCTK)"),
}  # fmt: skip
SINGING = ("singing_voice", "VocalSet_48kHz_mono")


VOICE = re.compile(rf"(?:^|/)({'|'.join(DNS_VOICES).replace('_speech', '_(?:speech|data)')})/")


def _dns(match: re.Match[str], tables: Tables) -> Facts:
    path = match.string
    voice = VOICE.search(path)
    if voice:
        name = voice[1].replace("_data", "_speech")
        language, licence = DNS_VOICES[name]
        domain = "music" if name in SINGING else "speech"
        return Facts(domain=domain, speaker=_dns_speaker(name, path), language=language, licence=licence)
    kind = match["kind"] or match["plain"] or ""
    if kind.startswith("noise"):
        return Facts(domain="noise", licence="CC BY 4.0 (AudioSet), CC0 (Freesound), CC BY-SA 3.0 (DEMAND)")
    if kind.startswith("impulse"):
        return Facts(domain="room", licence="Apache-2.0", group=room_of(path))
    return _dns_test(path) if "test" in kind else Facts(domain="speech")


def _dns_test(path: str) -> Facts:
    """Return the facts of a test recording; of real ones nobody has the clean side."""
    number = re.search(r"fileid_(\d+)", path)
    below, side = PurePosixPath(path).parent.parent, PurePosixPath(path).parent.name
    is_pair = number is not None and side in ("clean", "noisy")
    return Facts(
        domain="speech" if side == "clean" else "pairs",
        split="test",
        group=f"{below}/{number[1]}" if number and is_pair else None,
        role="clean" if side == "clean" else "degraded",
    )


def _dns_speaker(voice: str, path: str) -> str | None:
    """Return who speaks, as the names of each source tell it."""
    patterns = {
        "read_speech": r"reader_(\d+)",
        "emotional_speech": r"/(\d{4})_[A-Z]{3}_[A-Z]{3}_",  # CREMA-D
        "vctk_wav48_silence_trimmed": r"/([ps]\d+)_\d{3}",
        **dict.fromkeys(SINGING, r"(?:/|^)((?:fe)?male\d+|[fm]\d+)[/_]"),
    }
    found = re.search(patterns.get(voice, r"/(?:fe)?male/([^/]+)/"), path)  # the others are from M-AILABS
    return f"{voice}/{found[1]}" if found else None


DNS = Layout(
    "dns-challenge",
    "DNS-Challenge, speech, noise and rooms (Reddy et al. 2020, 2021; github.com/microsoft/DNS-Challenge)",
    re.compile(
        r"(?:^|/)(?:(?P<kind>(?:clean|noise|dev_testset|blind_testset)_fullband)"
        r"|datasets(?:_fullband)?/(?P<plain>clean|noise|impulse_responses|dev_testset|blind_testset|test_set)"
        rf"|{VOICE.pattern.removeprefix('(?:^|/)').removesuffix('/')})/.+" + AUDIO
    ),
    _dns,
    ("speech", "music", "noise", "room", "pairs"),
)


def _rows_by(key: str, paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {row[key]: dict(row) for path in paths for row in read_rows(path) if row.get(key)}


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _creative_commons(address: str) -> str:
    """Return ``CC BY-NC 4.0`` for the address of that licence, and what is no such address as it is."""
    found = re.search(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-+]+)/?(\d\.\d)?", address)
    if not found:
        return address
    name = {"zero": "CC0", "sampling+": "CC Sampling+"}.get(found[1], f"CC {found[1].upper()}")
    return " ".join(filter(None, [name, found[2]]))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); mend it, or take --layout plain") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(_read_text(path))
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _list_of_names(text: str) -> list[str]:
    """Return the names in ``['a.wav', 'b.wav']``."""
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return [str(value) for value in values] if isinstance(values, list | tuple) else []

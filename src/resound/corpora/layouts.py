"""All layouts by name, and which one a folder has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from resound.corpora.layout import SPLITS, Facts, Layout, Tables, Tree
from resound.corpora.mixture_layouts import LIBRIMIX, VOICEBANK_DEMAND, WSJ0_MIX
from resound.corpora.sound_layouts import DNS, ESC50, FSD50K, GRAMOPHONE, MUSAN, MUSICNET, RIRS_NOISES
from resound.corpora.speech_layouts import AISHELL1, AISHELL3, LIBRISPEECH, VCTK
from resound.corpora.tables import CSV, side_of
from resound.errors import ConfigError, did_you_mean

# In the order in which they are asked where two are as likely.
KNOWN = (
    CSV, AISHELL1, AISHELL3, VCTK, LIBRISPEECH, LIBRIMIX, WSJ0_MIX, VOICEBANK_DEMAND, MUSICNET, FSD50K, ESC50, MUSAN,
    GRAMOPHONE, RIRS_NOISES, DNS,
)  # fmt: skip
LAYOUTS = {layout.name: layout for layout in KNOWN}
PLAIN = "plain"
LEAST_LIKENESS = 0.5
MOST_PATHS = 2000  # that are looked at to recognise a layout
SPEAKER_FROM = ("folder", "parent", "file", "none")
# Folders that hold parts or kinds of files, and so are nobody's name.
NOBODY = {
    *SPLITS,
    "wav",
    "wavs",
    "wav48",
    "flac",
    "mp3",
    "audio",
    "audios",
    "clips",
    "data",
    "clean",
    "noisy",
    "speech",
}


class UnnamedDomainError(ConfigError):
    """Nothing says what a plain folder holds."""


def layout_of(tree: Tree, name: str, *, domain: str | None, speaker_from: str) -> Layout:
    """Return the layout of a name, of ``auto`` the one that most of the paths speak for, else a plain folder's.

    Raises `ConfigError` for unknown names, and where nothing says what a plain folder holds.
    """
    if name not in ("auto", PLAIN, *LAYOUTS):
        names = ("auto", PLAIN, *LAYOUTS)
        raise ConfigError(f"--layout {name}: no such layout{did_you_mean(name, names)} (there are {', '.join(names)})")
    if name in LAYOUTS:
        return LAYOUTS[name]
    if name == "auto":
        sample = Tree(tree.root, evenly(tree.recordings, MOST_PATHS), tree.lists)
        likely = max(KNOWN, key=lambda layout: likeness(layout, sample))
        if likeness(likely, sample) >= LEAST_LIKENESS:
            return likely
    if domain is None:
        raise UnnamedDomainError(
            f"{tree.root}: nothing says what it holds; give --as speech, effects, music, noise, room or pairs"
        )
    return plain_layout(domain, speaker_from)


def likeness(layout: Layout, tree: Tree) -> float:
    """Return how much of a tree is of a layout, 0 to 1."""
    if layout.likeness is not None:
        return layout.likeness(tree)
    n_found = sum(layout.pattern.search(tree.text(path)) is not None for path in tree.recordings)
    return n_found / max(1, len(tree.recordings))


def evenly(items: Sequence[str], n_items: int) -> Sequence[str]:
    """Return at most so many items, evenly out of all."""
    return items if len(items) <= n_items else [items[i * len(items) // n_items] for i in range(n_items)]


def plain_layout(domain: str, speaker_from: str) -> Layout:
    """Return the layout of any folder: splits, pairs and speakers where names of folders tell them."""
    return Layout(
        PLAIN,
        "Any folder with recordings anywhere below it",
        re.compile(r"^[^/]*/(?P<path>.+)\Z", re.DOTALL),
        partial(_plain, domain=domain, speaker_from=speaker_from),
        (domain,) if domain != "pairs" else ("speech", "pairs"),
    )


def _plain(match: re.Match[str], tables: Tables, *, domain: str, speaker_from: str) -> Facts:
    path: str = match["path"]
    *folders, name = path.split("/")
    split = next((SPLITS[folder.lower()] for folder in folders if folder.lower() in SPLITS), None)
    speaker = _plain_speaker(folders, name, speaker_from)
    if domain != "pairs":
        return Facts(domain=domain, speaker=speaker, split=split)
    role, group = side_of(path)
    is_clean = role is not None and (role == "clean" or role.startswith("source"))
    return Facts("speech" if is_clean else "pairs", speaker, split=split, group=group, role=role)


def _plain_speaker(folders: list[str], name: str, speaker_from: str) -> str | None:
    named = [folder for folder in folders if folder.lower() not in NOBODY]
    if speaker_from == "folder":
        return named[0] if named else None
    if speaker_from == "parent":
        return named[-1] if named else None
    if speaker_from == "file":
        return re.split(r"[_\-. ]", name, maxsplit=1)[0] or None
    return None

"""Layouts of mixtures made beforehand: LibriMix, wsj0-2mix, VoiceBank-DEMAND.

The clean side is ``speech``, the noise ``noise``, and what is mixed ``pairs``: so that what is asked for as speech
holds no noise.
"""

from __future__ import annotations

import re

from resound.corpora.layout import AUDIO, SPLITS, Facts, Layout, Tables

ROLES = {
    "s1": "source1", "s2": "source2", "s3": "source3", "mix": "mixture", "noise": "noise",
    "mix_clean": "mixture", "mix_both": "noisy_mixture", "mix_single": "noisy_source1",
}  # fmt: skip
# The LibriMix noise and what holds it come from WHAM!, which is CC BY-NC 4.0 (wham.whisper.ai).
WITH_WHAM = ("noise", "mix_both", "mix_single")


def _domain(role: str) -> str:
    return "speech" if role.startswith("source") else "noise" if role == "noise" else "pairs"


def _librimix(match: re.Match[str], tables: Tables) -> Facts:
    folder, role = match["folder"], ROLES[match["folder"]]
    speakers = [name.partition("-")[0] for name in match["name"].split("_")]
    speaker = speakers[int(role[-1]) - 1] if role.startswith("source") else None
    return Facts(
        domain=_domain(role),
        speaker=speaker,
        split=SPLITS[match["part"].partition("-")[0]],
        licence="CC BY-NC 4.0" if folder in WITH_WHAM else "CC BY 4.0",
        group=f"{match['where']}{match['part']}/{match['name']}",
        role=role,
    )


LIBRIMIX = Layout(
    "librimix",
    "Libri2Mix and Libri3Mix, any rate and mode (Cosentino et al. 2020; github.com/JorisCos/LibriMix)",
    re.compile(
        r"(?P<where>(?:[^/]+/)*)(?P<part>train-100|train-360|dev|test)/(?P<folder>mix_clean|mix_both|mix_single|s[123]|"
        r"noise)/(?P<name>\d+-\d+-\d+(?:_\d+-\d+-\d+){1,2})" + AUDIO
    ),
    _librimix,
    ("speech", "noise", "pairs"),
    language="en",
    part=lambda match: f"{match['name'].count('_') + 1} {match['part']}|{match['where']}{match['folder']}",
    published={
        "2 train-360": 50_800,
        "2 train-100": 13_900,
        "2 dev": 3_000,
        "2 test": 3_000,
        "3 train-360": 33_900,
        "3 train-100": 9_300,
        "3 dev": 3_000,
        "3 test": 3_000,
    },
)


def _wsj0_mix(match: re.Match[str], tables: Tables) -> Facts:
    role = ROLES[match["folder"]]
    utterances = match["name"].split("_")[::2]  # 01aa010b_0.97482_209a010p_-0.97482: names and levels in dB
    speaker = utterances[int(role[-1]) - 1][:3] if role.startswith("source") else None
    group = f"{match['where']}{match['part']}/{match['name']}"
    return Facts(domain=_domain(role), speaker=speaker, split=SPLITS[match["part"]], group=group, role=role)


WSJ0_MIX = Layout(
    "wsj0-mix",
    "wsj0-2mix and wsj0-3mix (Hershey et al. 2016), also with the noise of WHAM!",
    re.compile(
        r"(?P<where>(?:[^/]+/)*)(?P<part>tr|cv|tt)/(?P<folder>mix(?:_clean|_both|_single)?|s[123]|noise)/"
        r"(?P<name>[0-9a-z]{8}_-?[\d.]+(?:_[0-9a-z]{8}_-?[\d.]+){1,2})" + AUDIO
    ),
    _wsj0_mix,
    ("speech", "noise", "pairs"),
    licence="LDC user agreement",  # WSJ0 is LDC93S6A
    language="en",
    # The speakers of cv speak in tr too: its authors call it the closed condition.
    part=lambda match: f"{match['part']}|{match['where']}{match['folder']}",
    published={"tr": 20_000, "cv": 5_000, "tt": 3_000},
)


def _voicebank(match: re.Match[str], tables: Tables) -> Facts:
    is_clean = match["side"] == "clean"
    return Facts(
        domain="speech" if is_clean else "pairs",
        speaker=match["speaker"],
        split=match["part"],
        group=f"{match['part']}{match['speakers'] or ''}/{match['name']}",
        role="clean" if is_clean else "degraded",
    )


VOICEBANK_DEMAND = Layout(
    "voicebank-demand",
    "VoiceBank-DEMAND, 28 or 56 speakers to train, 2 to test (Valentini-Botinhao 2017; Edinburgh DataShare 10283/2791)",
    re.compile(
        r"(?P<side>clean|noisy)_(?P<part>train|test)set(?:_(?P<speakers>28|56)spk)?_wav[^/]*/"
        r"(?:[^/]+/)?(?P<name>(?P<speaker>p\d{3})_\d{3})" + AUDIO
    ),
    _voicebank,
    ("speech", "pairs"),
    licence="CC BY 4.0",  # datashare.ed.ac.uk/handle/10283/2791
    language="en",
    part=lambda match: f"{match['part']}{match['speakers'] or ''}|{match['side']}",
    published={"train28": 11_572, "train56": 23_075, "test": 824},
)

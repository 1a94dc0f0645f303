"""Layouts of speech corpora: AISHELL-1, AISHELL-3, VCTK, LibriSpeech."""

from __future__ import annotations

import re

from resound.corpora.layout import AUDIO, SPLITS, Facts, Layout, Tables


def _aishell1(match: re.Match[str], tables: Tables) -> Facts:
    return Facts(speaker=match["speaker"], split=SPLITS.get(match["part"] or ""))


AISHELL1 = Layout(
    "aishell1",
    "AISHELL-1, 400 speakers, Mandarin (Bu et al. 2017; openslr.org/33)",
    re.compile(r"(?:(?P<part>train|dev|test)/)?(?P<speaker>S\d{4})/BAC009(?P=speaker)W\d{4}" + AUDIO),
    _aishell1,
    ("speech",),
    licence="Apache-2.0",  # openslr.org/33
    language="zh",
    published={"": 141_925},  # recordings in the archives; 141,600 of them have transcripts
)


def _aishell3(match: re.Match[str], tables: Tables) -> Facts:
    # Speakers of test/ speak in train/ too, so the corpus's own parts are no split by speaker.
    return Facts(speaker=match["speaker"])


AISHELL3 = Layout(
    "aishell3",
    "AISHELL-3, 218 speakers, Mandarin, 44.1 kHz (Shi et al. 2020; openslr.org/93)",
    re.compile(r"(?P<speaker>SSB\d{4})/(?P=speaker)\d{4}" + AUDIO),
    _aishell3,
    ("speech",),
    licence="Apache-2.0",  # openslr.org/93
    language="zh",
    published={"": 88_035},
)


def _vctk(match: re.Match[str], tables: Tables) -> Facts:
    group = f"{match['speaker']}_{match['utterance']}" if match["microphone"] else None
    # 0.80 came under ODC-By (its README), 0.92 under CC BY 4.0 (datashare.ed.ac.uk/handle/10283/3443).
    licence = "CC BY 4.0" if match["microphone"] else "ODC-By 1.0"
    return Facts(speaker=match["speaker"], group=group, role=match["microphone"], licence=licence)


VCTK = Layout(
    "vctk",
    "VCTK 0.80 and 0.92, 109 speakers, English, 48 kHz (Veaux et al.; Edinburgh DataShare 10283/3443)",
    re.compile(
        r"(?P<speaker>[ps]\d+)/(?P=speaker)_(?P<utterance>\d{3})(?:_(?P<microphone>mic[12]))?" + AUDIO, re.IGNORECASE
    ),
    _vctk,
    ("speech",),
    language="en",
    part=lambda match: match["microphone"] or "0.80",
    published={"0.80": 44_257, "mic1": 44_455, "mic2": 43_873},  # p280 and p315 lack the second microphone
)


def _librispeech(match: re.Match[str], tables: Tables) -> Facts:
    return Facts(speaker=match["speaker"], split=SPLITS[match["part"].partition("-")[0]])


LIBRISPEECH = Layout(
    "librispeech",
    "LibriSpeech, 2,484 speakers, English, 16 kHz (Panayotov et al. 2015; openslr.org/12)",
    re.compile(
        r"(?P<part>(?:train|dev|test)-(?:clean|other)(?:-\d+)?)/(?P<speaker>\d+)/(?P<chapter>\d+)/"
        r"(?P=speaker)-(?P=chapter)-\d+" + AUDIO
    ),
    _librispeech,
    ("speech",),
    licence="CC BY 4.0",  # openslr.org/12
    language="en",
    part=lambda match: match["part"],
    published={
        "dev-clean": 2_703,
        "dev-other": 2_864,
        "test-clean": 2_620,
        "test-other": 2_939,
        "train-clean-100": 28_539,
        "train-clean-360": 104_014,
        "train-other-500": 148_688,
    },
)

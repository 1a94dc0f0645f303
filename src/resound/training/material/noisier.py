"""A recording and nothing else: its own noise is put on it once more, and the network learns to take that away twice.

Let ``y = x + n`` be the recording and ``n'`` more noise of its kind, cut out of it elsewhere.  The network is given
``y + n'`` and asked for ``y - n'``, by the squared error.  Of what it is given, the best guess of ``n`` and that of
``n'`` are the same: nothing tells them apart.  So the guess of ``y - n' = x + (n - n')`` is that of ``x``, although no
clean sound was ever shown.  This is Noisier2Noise (Moran, Schmidt, Zhong & Coady 2020, arXiv 1910.11908) with both
noises equally loud, its correction ``2 f(z) - z`` of the output moved into the target; for sound see Noisy-target
Training (Fujimura, Koizumi, Yatabe & Miyazaki 2021, arXiv 2105.13103).

For the same reason the error on such targets is that against the clean sound plus what no network can help: two
networks are told apart by it without any clean sound.

It stands on three things: the noise is added (not a distortion), it is the same all through the recording, and it does
not follow the programme.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resound.audio.files import open_plain_writer
from resound.audio.segments import header_of, read_excerpt
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.errors import InputError, counted, one_line
from resound.harvest.cut import Harvest
from resound.training.material.film import FEWEST_PIECES, Noise, cut_noise
from resound.training.material.material import PARTS, SEGMENT_SECONDS, Material, Say, part_of

LR = 3e-5
MOST_SEGMENTS = 400  # 20 minutes of sound; of longer recordings as many are taken, evenly
FEWEST_SEGMENTS = 10
NEAR_SECONDS = 0.5  # a piece of noise is not put on itself, nor beside itself
CROSSFADE_SECONDS = 0.02
SILENCE = 1e-4  # a segment below it holds nothing

Audio = NDArray[np.float32]


def from_noisy(recordings: Sequence[Path], sample_rate: int, folder: Path, say: Say) -> Material:
    """Return recordings made noisier, as pairs in ``folder``.  Raises `InputError` for too little noise or sound."""
    lines: list[Recording] = []
    for noise in cut_noise(recordings, folder / "noise", say):
        lines += pairs_of(noise, sample_rate, folder)
    manifest = folder / "pairs.jsonl"
    write_manifest(manifest, Manifest(folder, lines, {"corpus": "adapt", "domain": "pairs"}))
    data = {"task": "pairs", "pairs": str(manifest.absolute()), "segment_seconds": SEGMENT_SECONDS}
    counts = {part: sum(line.split == part for line in lines) // 2 for part in PARTS}
    say(f"no clean recordings: {counted(len(lines) // 2, 'segment')} made noisier with their own noise")
    return Material(
        about="adapted to " + ", ".join(one_line(path.name) for path in recordings),
        data={**data, "augment": [{"gain": {"gain_db": [-12, 6]}}]},
        choosing={"split": "valid", "augment": []},
        deciding={"split": "test"},
        recordings=tuple(recordings),
        metric="snr_i",
        lr=LR,
        is_noisy=True,
        n_choosing=counts["valid"],
        n_deciding=counts["test"],
    )


def pairs_of(noise: Noise, sample_rate: int, folder: Path) -> list[Recording]:
    """Write a recording's segments made noisier, and their targets, and return the lines about them."""
    path, name = noise.harvest.source.path, noise.harvest.name
    if len(noise.harvest.files) < FEWEST_PIECES:
        raise InputError(
            f"{path}: has {noise.harvest.kept_seconds:.1f} s of noise alone, too little to go without clean "
            "recordings; give some with --corpus"
        )
    rng = np.random.default_rng(0)
    pieces = pieces_of(noise.harvest, sample_rate, folder / "noise")
    lines = []
    for index, start_seconds in enumerate(segment_starts(path)):
        segment = read_excerpt(
            path, sample_rate, start_seconds=start_seconds, n_samples=round(SEGMENT_SECONDS * sample_rate)
        ).mean(axis=0)
        if np.abs(segment).max() < SILENCE:
            continue
        more = more_noise(pieces, start_seconds, len(segment), sample_rate, rng)
        part = part_of(index)
        for role, sound in (("degraded", segment + more), ("clean", segment - more)):
            file = Path("pairs") / f"{name}-{index:04}-{role}.wav"
            with open_plain_writer(
                folder / file, sample_rate=sample_rate, n_channels=1, storage="float32", overwrite=False
            ) as writer:
                writer.write(sound[None].astype(np.float32))
            group = f"{name}-{index:04}"
            lines.append(
                Recording(file.as_posix(), len(sound), sample_rate, domain="pairs", split=part, group=group, role=role)
            )
    if len(lines) // 2 < FEWEST_SEGMENTS:
        raise InputError(
            f"{path}: has {counted(len(lines) // 2, 'segment')} of {SEGMENT_SECONDS:g} s with sound, too little to go "
            "without clean recordings; give some with --corpus"
        )
    return lines


def segment_starts(path: Path) -> list[float]:
    """Return where segments begin, in seconds: all of them, or `MOST_SEGMENTS` evenly."""
    rate, n_samples, _ = header_of(path)
    n_segments = int(n_samples / rate // SEGMENT_SECONDS)
    chosen = np.unique(np.linspace(0, n_segments - 1, min(n_segments, MOST_SEGMENTS)).round().astype(int))
    return [SEGMENT_SECONDS * int(index) for index in chosen] if n_segments else []


def pieces_of(harvest: Harvest, sample_rate: int, folder: Path) -> list[tuple[float, float, Audio]]:
    """Return the noise of a recording: start and end in seconds, and ``(time,)`` samples."""
    found = []
    for stretch, file in zip(harvest.verdict.stretches, harvest.files, strict=True):
        start = stretch.start_samples * stretch.seconds / stretch.n_samples
        found.append((start, start + stretch.seconds, read_excerpt(folder / file, sample_rate).mean(axis=0)))
    return found


def more_noise(
    pieces: Sequence[tuple[float, float, Audio]],
    start_seconds: float,
    n_samples: int,
    sample_rate: int,
    rng: np.random.Generator,
) -> Audio:
    """Return ``(time,)`` noise for a segment out of pieces that lie elsewhere, cross-faded at constant power."""
    near = (start_seconds - NEAR_SECONDS, start_seconds + n_samples / sample_rate + NEAR_SECONDS)
    elsewhere = [samples for start, end, samples in pieces if end < near[0] or start > near[1]]
    elsewhere = elsewhere or [samples for _, _, samples in pieces]
    n_fade = round(CROSSFADE_SECONDS * sample_rate)
    fade = np.sin(np.linspace(0, np.pi / 2, n_fade, dtype=np.float32))
    out = np.zeros(n_samples + n_fade, np.float32)
    position = 0
    while position < n_samples:
        piece = elsewhere[int(rng.integers(len(elsewhere)))] * np.float32(rng.choice([-1, 1]))
        piece = piece[: len(out) - position].copy()
        length = min(n_fade, len(piece) // 2)
        piece[:length] *= fade[:length] if length == n_fade else np.linspace(0, 1, length)
        piece[len(piece) - length :] *= fade[:length][::-1] if length == n_fade else np.linspace(1, 0, length)
        out[position : position + len(piece)] += piece
        position += len(piece) - length
    return out[:n_samples]

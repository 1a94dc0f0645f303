"""The chunk loop: what a restorer would do to the whole it does to the chunks, for every length and block size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resound.inference.offline import StageReport, Timeline, cross_fade, restore_blocks

RATE = 8000
CHUNK_SECONDS, OVERLAP_SECONDS = 0.05, 0.0125
CHUNK = 400 + 100  # hop and overlap: what one chunk covers
FIR = np.random.default_rng(7).standard_normal(31) / 6
LENGTHS = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7)


class Identity:
    """Changes nothing; remembers how much it was given at a time."""

    name, context = "identity", 0

    def __init__(self, sample_rate: int = RATE) -> None:
        self.sample_rate = sample_rate
        self.given: list[int] = []

    def process(self, block: NDArray) -> NDArray:
        self.given.append(block.shape[1])
        return block


class Gain(Identity):
    """Halves."""

    def process(self, block: NDArray) -> NDArray:
        return super().process(block) / 2


class Filter(Identity):
    """Filters with 31 taps, so that 15 samples on both sides matter."""

    context = 15

    def process(self, block: NDArray) -> NDArray:
        super().process(block)
        return np.stack([np.convolve(channel, FIR)[15 : 15 + len(channel)] for channel in block])


class Alternating(Identity):
    """Lets every other chunk through and mutes the rest: the worst of seams."""

    def process(self, block: NDArray) -> NDArray:
        super().process(block)
        return block * (len(self.given) % 2)


def noise(n_samples: int, n_channels: int = 1, seed: int = 0) -> NDArray:
    return np.random.default_rng(seed).standard_normal((n_channels, n_samples))


def cut(sound: NDArray, sizes: list[int] | int) -> Iterator[NDArray]:
    """Yield the sound in blocks of these sizes, over and over."""
    sizes = [sizes] if isinstance(sizes, int) else sizes
    start = turn = 0
    while start < sound.shape[1]:
        yield sound[:, start : start + sizes[turn % len(sizes)]]
        start += sizes[turn % len(sizes)]
        turn += 1


def chunked(sound: NDArray, restorer, sizes: list[int] | int = 333, rate: int = RATE, **settings) -> NDArray:
    settings = {"chunk_seconds": CHUNK_SECONDS, "overlap_seconds": OVERLAP_SECONDS, **settings}
    blocks = list(restore_blocks(cut(sound, sizes), restorer, sample_rate=rate, **settings))
    return np.concatenate([sound[:, :0], *blocks], axis=1)


@pytest.mark.parametrize("n_channels", [1, 2, 8])
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_a_restorer_that_changes_nothing_gives_the_recording_back(n_samples, n_channels):
    sound = noise(n_samples, n_channels)
    np.testing.assert_array_equal(chunked(sound, Identity()), sound)


@pytest.mark.parametrize("n_channels", [1, 2, 8])
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_chunks_give_what_the_whole_would(n_samples, n_channels):
    sound = noise(n_samples, n_channels)
    np.testing.assert_allclose(chunked(sound, Gain()), sound / 2, atol=1e-15)
    if n_samples:
        np.testing.assert_allclose(chunked(sound, Filter()), Filter().process(sound), atol=1e-13)


def test_the_context_is_what_makes_chunks_equal_the_whole():
    """With no context the same filter shows its edges: so the test above can fail."""
    careless = Filter()
    careless.context = 0
    sound = noise(3 * CHUNK)
    assert np.abs(chunked(sound, careless) - Filter().process(sound)).max() > 0.01


@given(
    n_samples=st.integers(0, 4 * CHUNK),
    sizes=st.lists(st.integers(1, 3 * CHUNK), min_size=1, max_size=5),
    n_channels=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_the_size_of_the_blocks_that_come_in_does_not_matter(n_samples, sizes, n_channels):
    sound = noise(n_samples, n_channels)
    np.testing.assert_array_equal(chunked(sound, Identity(), sizes), sound)
    np.testing.assert_array_equal(chunked(sound, Filter(), sizes), chunked(sound, Filter(), 100))


@pytest.mark.parametrize("extra", [1, 400, 401])
def test_a_block_that_ends_where_a_chunk_does_is_not_the_end(extra):
    sound = noise(CHUNK + extra)
    np.testing.assert_array_equal(chunked(sound, Identity(), CHUNK), sound)


def test_blocks_without_samples_are_passed_over():
    sound = noise(2 * CHUNK)
    blocks = [sound[:, :0], sound[:, :700], sound[:, :0], sound[:, 700:], sound[:, :0]]
    out = list(restore_blocks(blocks, Filter(), sample_rate=RATE, chunk_seconds=CHUNK_SECONDS, overlap_seconds=0.01))
    np.testing.assert_allclose(np.concatenate(out, axis=1), Filter().process(sound), atol=1e-13)


@given(
    n_samples=st.integers(1, 6000),
    rate=st.sampled_from([8000, 11025, 44100, 48000, 96000]),
    inner=st.sampled_from([8000, 16000, 44100, 48000]),
)
@settings(max_examples=40, deadline=None)
def test_another_rate_costs_an_identity_nothing(n_samples, rate, inner):
    sound = noise(n_samples)
    np.testing.assert_array_equal(chunked(sound, Identity(inner), rate=rate), sound)


def test_what_lies_above_the_restorers_own_rate_is_kept_as_it_was():
    time = np.arange(48000) / 48000
    low, high = np.sin(2 * np.pi * 1000 * time)[None], np.sin(2 * np.pi * 15000 * time)[None]
    out = chunked(low + high, Gain(16000), rate=48000, chunk_seconds=0.3, overlap_seconds=0.05)
    # the ends, where a tone that begins at once has no clear band, apart
    np.testing.assert_allclose(out[:, 2000:-2000], (low / 2 + high)[:, 2000:-2000], atol=1e-4)


def test_a_lower_rate_is_raised_for_the_restorer_and_back_without_delay():
    time = np.arange(8000) / 8000
    tone = (np.sin(2 * np.pi * 500 * time) * np.hanning(8000))[None]
    out = chunked(tone, Gain(48000), rate=8000, chunk_seconds=0.2, overlap_seconds=0.02)
    np.testing.assert_allclose(out, tone / 2, atol=1e-4)


def test_a_filter_at_another_rate_has_no_seams():
    rng_sound = noise(30000)
    smooth = np.convolve(rng_sound[0], np.hanning(40), "same")[None] / 10  # nothing near the restorer's Nyquist
    whole = chunked(smooth, Filter(16000), rate=48000, chunk_seconds=10.0)
    parts = chunked(smooth, Filter(16000), rate=48000, chunk_seconds=0.1, overlap_seconds=0.01)
    assert np.abs(whole - parts).max() < 1e-5 * np.abs(whole).max()


def test_a_seam_is_faded_without_a_step():
    sound = np.ones((1, 5 * CHUNK))
    out = chunked(sound, Alternating())[0]
    assert {0.0, 1.0} <= set(np.round(out, 9))  # both kinds of chunk are heard in full
    fade = 100  # samples; a straight fade would step by 1 / 100, a sine-shaped one by up to pi / 2 of that
    assert np.abs(np.diff(out)).max() < 0.5 * np.pi / fade * 1.05
    assert out.min() >= 0 and out.max() <= 1


def test_equal_chunks_fade_to_themselves():
    removed = noise(300, 2)
    np.testing.assert_allclose(cross_fade(removed[:, :100].copy(), removed), removed, atol=1e-15)


def test_a_last_chunk_shorter_than_the_fade_is_faded_too():
    for n_samples in range(400 - 3, 520):
        sound = noise(n_samples)
        np.testing.assert_allclose(chunked(sound, Filter()), Filter().process(sound), atol=1e-13)


def test_no_more_is_held_than_a_chunk_with_its_context_and_one_block():
    restorer = Filter()
    heard = 0
    ahead = []

    def coming() -> Iterator[NDArray]:
        nonlocal heard
        for _ in range(200):
            heard += 160
            yield np.ones((1, 160))

    done = 0
    for block in restore_blocks(
        coming(), restorer, sample_rate=RATE, chunk_seconds=CHUNK_SECONDS, overlap_seconds=OVERLAP_SECONDS
    ):
        done += block.shape[1]
        ahead.append(heard - done)
    assert done == 200 * 160
    assert max(ahead) <= 100 + 15 + 160  # overlap, context, and what the last block brought too much
    assert max(restorer.given) <= CHUNK + 2 * 15


def test_a_timeline_forgets_and_keeps_its_place():
    line = Timeline()
    sound = noise(1000, 2)
    for start in range(0, 1000, 100):
        line.append(sound[:, start : start + 100])
        line.forget_before(start - 50)
        assert sum(block.shape[1] for block in line.blocks) <= 150
        assert line.end == start + 100
        np.testing.assert_array_equal(
            line.between(max(0, start - 50), start + 100), sound[:, max(0, start - 50) : start + 100]
        )
    line.forget_before(1000)
    assert (line.start, line.end, line.blocks) == (1000, 1000, [])


def test_what_a_timeline_gives_is_a_copy():
    line = Timeline()
    sound = noise(10)
    line.append(sound)
    line.between(2, 5)[:] = 99
    assert sound.max() < 99


def test_many_channels_at_a_high_rate_are_cut_finer():
    restorer = Identity(384000)
    blocks = (np.zeros((8, 384000), dtype=np.float32) for _ in range(6))
    n_done = sum(block.shape[1] for block in restore_blocks(blocks, restorer, sample_rate=384000))
    assert n_done == 6 * 384000
    assert 8 * max(restorer.given) <= 8_000_000


def test_a_report_counts_every_sample_once():
    report = StageReport("gain")
    sound = noise(3 * CHUNK + 7, 2)
    chunked(sound, Gain(), report=report)
    assert report.energy_in == pytest.approx(np.sum(sound**2))
    assert report.energy_removed == pytest.approx(np.sum(sound**2) / 4)
    assert report.removed_db == pytest.approx(-6.0206, abs=1e-3)
    assert StageReport("nothing", 1.0, 0.0).removed_db is None

"""Voices stay on their outputs and at their levels, whatever order and level a network gives them in."""

import numpy as np
import pytest

from inference.test_onnx import write_graph
from resound.dsp.resampling import resample
from resound.errors import ModelError
from resound.inference.graph_file import GraphFile
from resound.inference.separation import SeparationReport, open_separator, separate, separate_blocks
from signals import speech_like

RATE = 8000
LENGTHS = {"chunk_seconds": 2.0, "overlap_seconds": 0.2}


class Cheat:
    """Separates by knowing the answer, in an order and at levels that change from call to call.

    It is given the mixture and tells by looking where in the mixture it is.
    """

    name, sample_rate, context = "cheat", RATE, RATE // 2

    def __init__(self, sources, *, seed=0, levels=(0.25, 4.0)):
        self.sources, self.n_sources = sources, len(sources)
        self.mixture = sources.sum(axis=0)
        self.rng, self.levels, self.n_calls = np.random.default_rng(seed), levels, 0

    def process(self, block):
        self.n_calls += 1
        n = block.shape[1]
        candidates = np.flatnonzero(self.mixture == block[0, 0])
        starts = [s for s in candidates if np.array_equal(self.mixture[s : s + n], block[0])]
        order = self.rng.permutation(self.n_sources)
        gains = self.rng.uniform(*self.levels, (self.n_sources, 1))
        return (gains * self.sources[order, starts[0] : starts[0] + n])[:, None, :]


def two_voices(seconds, pause=None):
    """Two voices, both still in the seconds of the pause."""
    voices = np.stack([speech_like(seconds, RATE, seed=seed) for seed in (1, 2)])
    if pause:
        voices[:, round(pause[0] * RATE) : round(pause[1] * RATE)] = 0
    # inaudible, but no two places are alike: the cheat finds where it is
    return voices + 1e-9 * np.random.default_rng(5).standard_normal(voices.shape)


def separated(sources, separator, **options):
    mixture = sources.sum(axis=0)[None]
    options = LENGTHS | options
    blocks = [mixture[:, start : start + 3001] for start in range(0, mixture.shape[1], 3001)]
    pairs = list(separate_blocks(blocks, separator, sample_rate=RATE, **options))
    np.testing.assert_array_equal(np.concatenate([heard for heard, _ in pairs], axis=-1), mixture)
    return np.concatenate([voices for _, voices in pairs], axis=-1)[:, 0]


def error_db(estimate, target):
    return 10 * np.log10(np.sum((estimate - target) ** 2) / np.sum(target**2) + 1e-30)


def in_one_order(voices, sources):
    """Return the voices in the order of the sources, by the beginning alone: later on it must be the same."""
    start = slice(0, 2 * RATE)
    same = np.sum(voices[0, start] * sources[0, start]) > np.sum(voices[0, start] * sources[1, start])
    return voices if same else voices[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_a_voice_stays_on_its_output_at_its_level(seed):
    sources = two_voices(12)
    report = SeparationReport()
    voices = in_one_order(separated(sources, Cheat(sources, seed=seed), report=report), sources)
    assert report.n_chunks == 6
    assert not report.unsure_seconds
    for voice, source in zip(voices, sources, strict=True):
        assert error_db(voice, source) < -25


def test_without_being_put_in_order_they_would_swap(monkeypatch):
    """So the test above can fail."""
    monkeypatch.setattr("resound.inference.separation.matched", lambda earlier, later: (np.arange(2), 1.0))
    sources = two_voices(12)
    voices = in_one_order(separated(sources, Cheat(sources, seed=0)), sources)
    assert max(error_db(voice, source) for voice, source in zip(voices, sources, strict=True)) > -3


def test_a_pause_at_the_seam_is_bridged_by_looking_further_back():
    sources = two_voices(8, pause=(1.3, 2.9))  # the first seam is at 2.0 to 2.2 s, heard by both from 1.5 to 2.7 s
    for seed in range(6):
        cheat, report = Cheat(sources, seed=seed), SeparationReport()
        voices = in_one_order(separated(sources, cheat, report=report), sources)
        assert cheat.n_calls > report.n_chunks
        assert not report.unsure_seconds
        assert max(error_db(voice, source) for voice, source in zip(voices, sources, strict=True)) < -25


def test_where_nothing_tells_it_is_said():
    sources = two_voices(10, pause=(1.0, 6.3))
    report = SeparationReport()
    separated(sources, Cheat(sources), report=report)
    assert report.unsure_seconds == [4.0]


def test_a_voice_that_is_silent_for_long_keeps_its_output():
    sources = two_voices(16)
    sources[1, 5 * RATE : 11 * RATE] *= 1e-6
    voices = in_one_order(separated(sources, Cheat(sources, seed=3)), sources)
    assert max(error_db(voice, source) for voice, source in zip(voices, sources, strict=True)) < -20


def test_three_voices_keep_their_outputs():
    sources = np.stack([speech_like(10, RATE, seed=seed) for seed in (1, 2, 3)])
    voices = separated(sources, Cheat(sources, seed=1))
    errors = np.array([[error_db(voice, source) for voice in voices] for source in sources])
    assert sorted(errors.argmin(axis=1).tolist()) == [0, 1, 2]
    assert errors.min(axis=1).max() < -25


@pytest.mark.parametrize("n_samples", [1, 4000, 16000, 17599, 17600, 17601, 20000])
def test_every_length_is_kept(n_samples):
    sources = two_voices(3)[:, :n_samples] + 1e-6
    assert separated(sources, Cheat(sources)).shape == (2, n_samples)


def test_levels_come_from_the_mixture_and_quiet_voices_keep_theirs():
    sources = two_voices(4)
    report = SeparationReport()
    separated(sources, Cheat(sources, levels=(3.0, 3.0)), report=report)
    assert report.rest_db is None or report.rest_db < -60


class AtAnotherRate(Cheat):
    """A low-passed copy of the mixture as its only 'voices', at 4 kHz."""

    sample_rate, context = 4000, 2000

    def process(self, block):
        return np.stack([0.25 * block, 0.75 * block])


def test_what_lies_above_the_network_is_in_no_voice_where_it_is_asked_for():
    sources = two_voices(6)
    report = SeparationReport()
    voices = separated(sources, AtAnotherRate(sources), rest_apart=True, report=report)
    mixture = sources.sum(axis=0)
    below = resample(resample(mixture[None], RATE, 4000), 4000, RATE)[0][: mixture.size]
    inside = slice(RATE, 5 * RATE)
    assert error_db(voices.sum(axis=0)[inside], below[inside]) < -30
    assert report.rest_db is not None
    assert -40 < report.rest_db < -3


def test_the_voices_are_the_mixture_and_what_is_left_over_goes_to_the_louder():
    class InTurn(AtAnotherRate):
        """The first three seconds are the first voice's, the others the second one's, but for a hundredth."""

        def process(self, block):
            is_first = np.arange(block.shape[1]) < 3 * self.sample_rate
            return np.stack([np.where(is_first, 0.99, 0.01) * block, np.where(is_first, 0.01, 0.99) * block])

    sources = two_voices(6)
    report = SeparationReport()
    voices = separated(sources, InTurn(sources), chunk_seconds=10.0, report=report)
    mixture = sources.sum(axis=0)
    np.testing.assert_allclose(voices.sum(axis=0), mixture, atol=1e-12)
    for speaks, (start, stop) in ((0, (0, 2.8)), (1, (3.2, 6))):
        part = slice(round(start * RATE), round(stop * RATE))
        assert error_db(voices[speaks, part], mixture[part]) < -35
    assert report.rest_db is not None and -40 < report.rest_db < -3  # of before, what a network of 4 kHz cannot hold


@pytest.mark.parametrize(("rate", "n_samples"), [(1000, 2), (3989, 1)])  # the second: rates with nothing in common
def test_what_is_shorter_than_a_sample_at_the_networks_rate_is_separated_or_in_no_voice(rate, n_samples):
    class Whole(AtAnotherRate):
        sample_rate, context = rate, 500

    sources = np.ones((2, n_samples))
    voices = separated(sources, Whole(sources))
    assert voices.shape == sources.shape and np.isfinite(voices).all()
    assert error_db(voices.sum(axis=0), sources.sum(axis=0)) < -20 or not voices.any()


def test_a_graph_that_gives_other_sources_than_it_says_is_one_line(tmp_path):
    two = np.array([[[0.5]], [[0.5]]])
    facts = {"sample_rate": str(RATE), "context_samples": "0", "name": "two"}
    for told, message in (("3", "gave 2 sources where its metadata says 3"), ("1", "gives one source; use it with")):
        path = write_graph(tmp_path / "two.onnx", two, metadata=facts | {"n_sources": told}, pads=(0, 0))
        with pytest.raises(ModelError, match=message):
            separate(np.ones(100), RATE, path)


def test_silence_stays_silent():
    class Silent(AtAnotherRate):
        pass

    silence = np.zeros((2, 3 * RATE))
    assert not separated(silence, Silent(silence)).any()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_onnxruntime_gets_as_many_threads_as_asked(n_threads, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "resound.inference.whole_network.GraphFile",
        lambda path, n_threads: asked.append(GraphFile(path, n_threads)) or asked[-1],
    )
    open_separator(n_threads=n_threads)
    assert asked[0].session.get_session_options().intra_op_num_threads == n_threads


def test_one_recording_is_separated_on_all_cores(monkeypatch):
    asked = []
    monkeypatch.setattr("resound.inference.separation.n_cores", lambda: 3)
    monkeypatch.setattr(
        "resound.inference.whole_network.GraphFile",
        lambda path, n_threads: asked.append(n_threads) or GraphFile(path, 1),
    )
    separate(np.zeros(1600), 16000)
    assert asked == [3]

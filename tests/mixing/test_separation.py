"""Mixtures of speakers: never one with themselves, at the levels of the published sets."""

import numpy as np
import pytest

from resound.dsp.active import active_speech_power
from resound.errors import ConfigError, InputError
from resound.mixing.config import SeparationConfig
from resound.mixing.example import in_order
from resound.mixing.separation import Separation
from signals import speech_like


def settings(speech, **more) -> SeparationConfig:
    basis = {"sample_rate": 8000, "segment_seconds": 2.0, "n_examples": 30, "speech": {"corpus": speech}}
    return SeparationConfig.model_validate(basis | more)


@pytest.mark.parametrize("n_speakers", [2, 3])
def test_the_mixture_is_the_sum_of_different_speakers(speech_corpus, n_speakers):
    for example in in_order(Separation(settings(speech_corpus, n_speakers=n_speakers)), 0, range(10)):
        assert example.clean.shape == (n_speakers, 16000)
        np.testing.assert_allclose(example.degraded[0], example.clean.sum(axis=0), atol=1e-6)
        names = [source["speaker"] for source in example.recipe["sources"]]
        assert len(set(names)) == n_speakers


def test_wsj0_levels_differ_by_at_most_five_decibels(speech_corpus):
    differences_db = []
    for example in in_order(Separation(settings(speech_corpus)), 0, range(30)):
        powers = [active_speech_power(source, 8000) for source in example.clean]
        differences_db.append(10 * np.log10(powers[0] / powers[1]))
    assert max(map(abs, differences_db)) <= 5.001
    assert max(differences_db) > 2
    assert min(differences_db) < -2


def test_librimix_levels_are_loudnesses(speech_corpus):
    from resound.mixing.separation import _loudness_lufs

    stream = Separation(settings(speech_corpus, levels="librimix"))
    for example in in_order(stream, 0, range(10)):
        gain_db = example.recipe.get("gain_db", 0.0)
        for source in example.clean:
            assert -33.01 <= _loudness_lufs(source[None], 8000) - gain_db <= -24.99


def test_levels_may_be_a_range_of_active_levels(speech_corpus):
    stream = Separation(settings(speech_corpus, levels=[-30, -28]))
    for example in in_order(stream, 0, range(5)):
        levels_dbfs = [10 * np.log10(active_speech_power(source, 8000)) for source in example.clean]
        assert all(-30.01 <= level <= -27.99 for level in levels_dbfs)


def test_speed_is_drawn_within_its_range(speech_corpus):
    stream = Separation(settings(speech_corpus))
    speeds = [source["speed_percent"] for item in in_order(stream, 0, range(20)) for source in item.recipe["sources"]]
    assert 95 <= min(speeds) < 97
    assert 103 < max(speeds) <= 105


def test_min_takes_only_recordings_that_fill_a_segment_and_max_pads(write_corpus):
    sounds = {"a": speech_like(3, 8000, 1), "b": speech_like(3, 8000, 2), "c": speech_like(1, 8000, 3)}
    corpus = write_corpus("lengths", sounds, speaker={key: key for key in sounds}, split="train")
    shortest = Separation(settings(corpus, length="min"))
    longest = Separation(settings(corpus, length="max"))
    assert shortest.describe()["recordings"] == 2
    assert longest.describe()["recordings"] == 3
    padded = [source for item in in_order(longest, 0, range(30)) for source in item.recipe["sources"]]
    assert any("pad_samples" in source for source in padded)


def test_one_speaker_cannot_be_mixed_with_themselves(write_corpus):
    alone = write_corpus("alone", {"x": speech_like(3, 8000), "y": speech_like(3, 8000, 1)}, speaker="anna")
    with pytest.raises(InputError, match=r"holds 1 speaker \(anna\).*add a corpus"):
        Separation(settings(alone))


def test_recordings_without_speakers_are_left_out_and_counted(write_corpus):
    sounds = {name: speech_like(3, 8000, seed) for seed, name in enumerate("abc")}
    corpus = write_corpus("named", sounds, speaker={"a": "anna", "b": "bert", "c": None})
    stream = Separation(settings(corpus))
    assert stream.describe()["recordings"] == 2
    assert sum(count for reason, count in stream.skipped.items() if "no speaker is named" in reason) == 1


def test_a_corpus_without_any_speaker_is_refused(write_corpus):
    nameless = write_corpus("nameless", {"x": speech_like(3, 8000), "y": speech_like(3, 8000, 1)})
    with pytest.raises(InputError, match="no recording of split 'train', with a speaker"):
        Separation(settings(nameless))


def test_a_chain_goes_over_the_mixture_alone(speech_corpus):
    noisy = Separation(settings(speech_corpus, chain=[{"hiss": {"snr_db": 10}}])).example(0, 0)
    clean_mixture = noisy.clean.sum(axis=0)
    noise = noisy.degraded[0] - clean_mixture
    assert 10 * np.log10(np.mean(clean_mixture**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.01)


def test_a_chain_that_moves_the_target_is_refused_at_once(speech_corpus):
    with pytest.raises(ConfigError, match="chain: wow_flutter changes the target too"):
        Separation(settings(speech_corpus, chain=[{"any_order": [{"wow_flutter": {}}, {"hiss": {}}]}]))


def test_sources_follow_what_adds_up_and_of_the_rest_it_is_told(speech_corpus):
    narrow = [{"resample": {"rate_hz": 4000}, "target": "same"}, {"band_limit": {"low_hz": 300}, "target": "same"}]
    narrow.append({"gain": {"gain_db": 3}, "target": "same"})
    example = Separation(settings(speech_corpus, chain=narrow, peak=None)).example(0, 0)
    wide = Separation(settings(speech_corpus, peak=None)).example(0, 0)
    np.testing.assert_allclose(example.degraded[0], example.clean.sum(axis=0), atol=1e-5)
    above = [np.abs(np.fft.rfft(each.clean))[:, 8 * each.clean.shape[1] // 24 :] for each in (example, wide)]
    assert np.square(above[0]).sum() < 1e-3 * np.square(above[1]).sum()
    for step, advice in (("clip", "leave target out, or put"), ("wow_flutter", "put")):
        told = (
            f"chain: {step} changes the target too, which sources cannot follow once they are mixed; {advice} it into"
        )
        with pytest.raises(ConfigError, match=told):
            Separation(settings(speech_corpus, chain=[{step: {}, "target": "same"}]))
    with pytest.raises(ConfigError, match="chain: wow_flutter changes the target too"):
        Separation(settings(speech_corpus, chain=[{"wow_flutter": {}, "target": "clean"}]))
    with pytest.raises(ConfigError, match="chain: gain changes the target too; write 'target: same' beside it"):
        Separation(settings(speech_corpus, chain=[{"gain": {}}]))
    louder = Separation(settings(speech_corpus, chain=[{"gain": {"gain_db": 3}, "target": "clean"}], peak=None))
    assert np.abs(louder.example(0, 0).clean).max() == np.abs(wide.clean).max()


def test_a_source_chain_goes_over_each_speaker_and_sources_have_passed_it(speech_corpus):
    clipped = [{"clip": {"shape": "hard", "percent": 10}}]
    examples = Separation(settings(speech_corpus, source_chain=clipped, peak=None))
    for example in in_order(examples, 0, range(4)):
        np.testing.assert_allclose(example.degraded[0], example.clean.sum(axis=0), atol=1e-6)
        for source, told in zip(example.clean, example.recipe["sources"], strict=True):
            at_the_limit = np.abs(source) > 0.999 * np.abs(source).max()
            assert at_the_limit.mean() == pytest.approx(0.1, abs=0.02)
            assert "clip" in str(told["chain"])


def test_a_source_chain_may_move_sources(speech_corpus):
    slowed = [{"wow_flutter": {}}]
    example = Separation(settings(speech_corpus, source_chain=slowed)).example(0, 0)
    np.testing.assert_allclose(example.degraded[0], example.clean.sum(axis=0), atol=1e-6)


def test_in_a_part_of_the_examples_one_speaks_alone(speech_corpus):
    examples = list(in_order(Separation(settings(speech_corpus, alone=0.3, n_examples=60)), 0, range(60)))
    is_alone = [not example.clean[1].any() for example in examples]
    assert 0.15 < np.mean(is_alone) < 0.45
    assert is_alone == [bool(example.recipe.get("alone")) for example in examples]
    for example in examples:
        assert example.clean.shape == (2, 16000)
        assert example.clean[0].any()
        np.testing.assert_allclose(example.degraded[0], example.clean.sum(axis=0), atol=1e-6)


def test_distinct_mixtures_are_counted(speech_corpus):
    told = Separation(settings(speech_corpus, speed_percent=100, segment_seconds=1.0)).describe()
    slots = [6, 6, 6, 6]  # two recordings of 3 s each
    assert told["distinct_mixtures"] == (sum(slots) ** 2 - sum(count**2 for count in slots)) // 2

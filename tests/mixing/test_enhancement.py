"""Examples to enhance: repeatable anywhere, in exact shares, with the bandwidth of their clean part."""

import concurrent.futures
import hashlib
import json
from collections import Counter

import numpy as np
import pytest

from resound.corpora.manifest import Manifest, read_manifest, write_manifest
from resound.degrade.chain import apply_chain_to_pair
from resound.errors import ConfigError, InputError
from resound.mixing.config import EnhancementConfig
from resound.mixing.enhancement import Enhancement
from resound.mixing.example import in_order, shard
from resound.mixing.stream import open_examples
from signals import noise, speech_like

CHAIN = [{"hiss": {"snr_db": [5, 15]}}]


def settings(clean, **more) -> EnhancementConfig:
    basis = {"sample_rate": 8000, "segment_seconds": 1.0, "n_examples": 40, "chain": CHAIN, "clean": clean}
    return EnhancementConfig.model_validate(basis | more)


def fingerprint(example) -> str:
    both = example.degraded.tobytes() + example.clean.tobytes() + json.dumps(example.recipe).encode()
    return hashlib.sha256(both).hexdigest()


def fingerprints_of_worker(config: EnhancementConfig, epoch: int, indices: range) -> dict[int, str]:
    made = in_order(open_examples(config), epoch, indices)
    return dict(zip(indices, map(fingerprint, made), strict=True))


def test_an_example_is_clean_plus_noise_at_the_ratio_it_says(speech_corpus):
    example = Enhancement(settings([{"corpus": speech_corpus}])).example(0, 0)
    assert example.degraded.shape == example.clean.shape == (1, 8000)
    assert example.degraded.dtype == example.clean.dtype == np.float32
    removed = example.degraded - example.clean
    snr_db = 10 * np.log10(np.mean(example.clean.astype("f8") ** 2) / np.mean(removed.astype("f8") ** 2))
    assert snr_db == pytest.approx(example.recipe["chain"][0]["hiss"]["snr_db"], abs=0.01)


def test_shares_of_kinds_are_exact(speech_corpus, music_corpus):
    stream = Enhancement(settings([{"corpus": speech_corpus, "share": 0.6}, {"corpus": music_corpus, "share": 0.4}]))
    assert Counter(stream.example(0, k).domain for k in range(40)) == {"speech": 24, "music": 16}


def test_each_example_carries_the_bandwidth_of_its_kind(speech_corpus, music_corpus):
    stream = Enhancement(settings([{"corpus": speech_corpus}, {"corpus": music_corpus}]))
    assert {(item.domain, item.bandwidth_hz) for item in in_order(stream, 0, range(10))} == {
        ("speech", 4000.0),
        ("music", 3000.0),
    }


def test_losses_may_hear_the_whole_band_whatever_a_recording_fills(music_corpus):
    stream = Enhancement(settings([{"corpus": music_corpus}], sample_rate=16000, whole_band=True))
    assert {item.bandwidth_hz for item in in_order(stream, 0, range(4))} == {8000.0}


def test_all_of_the_material_is_used_before_any_is_used_again(speech_corpus):
    stream = Enhancement(settings([{"corpus": speech_corpus}], n_examples=24))
    files = Counter(item.recipe["clean"]["file"] for item in in_order(stream, 0, range(24)))
    assert sorted(files.values()) == [3] * 8  # 8 recordings of 3 s, segments of 1 s


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_workers_change_nothing(speech_corpus, music_corpus, n_workers):
    config = settings(
        [{"corpus": speech_corpus}, {"corpus": music_corpus}], augment=[{"shift": {}}, {"gain": {}}], n_examples=12
    )
    alone = fingerprints_of_worker(config, 1, range(12))
    shards = [shard(12, worker=worker, n_workers=n_workers) for worker in range(n_workers)]
    together = {}
    with concurrent.futures.ProcessPoolExecutor(n_workers) as pool:
        for part in pool.map(fingerprints_of_worker, [config] * n_workers, [1] * n_workers, shards):
            together |= part
    assert together == alone


def test_an_example_does_not_depend_on_what_was_made_before(speech_corpus, music_corpus):
    config = settings([{"corpus": speech_corpus}, {"corpus": music_corpus}])
    fresh = fingerprint(Enhancement(config).example(2, 17))
    used = Enhancement(config)
    for index in range(17):
        used.example(2, index)
    assert fingerprint(used.example(2, 17)) == fresh


def test_epochs_and_seeds_differ(speech_corpus):
    config = settings([{"corpus": speech_corpus}])
    prints = {fingerprint(Enhancement(config).example(epoch, 3)) for epoch in range(4)}
    prints.add(fingerprint(Enhancement(settings([{"corpus": speech_corpus}], seed=1)).example(0, 3)))
    assert len(prints) == 5


def test_the_recipe_makes_the_example_again(speech_corpus):
    stream = Enhancement(settings([{"corpus": speech_corpus}], peak=None))
    example = stream.example(0, 5)
    recipe = json.loads(json.dumps(example.recipe))
    pair = apply_chain_to_pair(example.clean, 8000, recipe["chain"])
    np.testing.assert_array_equal(pair.degraded, example.degraded)


def test_recordings_shorter_than_a_segment_are_padded(write_corpus):
    short = write_corpus("short", {"s": speech_like(1.2, 8000)}, split="train")
    example = Enhancement(settings([{"corpus": short}], segment_seconds=3.0)).example(0, 0)
    before = example.recipe["clean"]["pad_samples"]
    assert example.clean.shape == (1, 24000)
    assert np.abs(example.clean[:, :before]).sum() == 0
    assert np.abs(example.clean[:, before + 9600 :]).sum() == 0


def test_other_sample_rates_and_channels_are_converted(write_corpus):
    tone = np.sin(2 * np.pi * 500 * np.arange(44100) / 44100)
    stereo = write_corpus("stereo", {"t": np.stack([0.3 * tone, 0.1 * tone])}, rate=44100, split="train")
    for n_channels in (1, 2):
        example = Enhancement(settings([{"corpus": stereo}], n_channels=n_channels, peak=None)).example(0, 0)
        assert example.clean.shape == (n_channels, 8000)
        powers = np.mean(example.clean[:, 400:-400] ** 2, axis=1)
        np.testing.assert_allclose(powers, [0.2**2 / 2] if n_channels == 1 else [0.3**2 / 2, 0.1**2 / 2], rtol=0.02)


def test_level_and_peak_are_kept_to(speech_corpus):
    stream = Enhancement(settings([{"corpus": speech_corpus}], level_dbfs=-20))
    example = stream.example(0, 0)
    assert 10 * np.log10(np.mean(example.clean**2)) == pytest.approx(-20, abs=0.01)
    loud = Enhancement(settings([{"corpus": speech_corpus}], level_dbfs=0)).example(0, 0)
    assert np.abs(loud.degraded).max() == pytest.approx(0.99, abs=1e-3)


def test_silent_and_clipped_and_missing_files_are_skipped_and_counted(write_corpus):
    square = np.sign(np.sin(np.arange(24000) / 20))
    sounds = {"good": speech_like(3, 8000), "silent": np.zeros(24000), "clipped": square, "gone": speech_like(3, 8000)}
    corpus = write_corpus("mixed", sounds, split="train")
    (corpus.parent / "mixed" / "gone.wav").unlink()
    stream = Enhancement(settings([{"corpus": corpus}]))
    files = {item.recipe["clean"]["file"] for item in in_order(stream, 0, range(30))}
    assert {name.rsplit("/", 1)[-1] for name in files} == {"good.wav"}
    reasons = " ".join(stream.skipped)
    assert all(word in reasons for word in ("silent.wav: silent", "clipped.wav: clipped", "gone.wav: does not exist"))


def test_a_corpus_with_nothing_usable_is_one_line_not_a_silent_zero(write_corpus):
    corpus = write_corpus("silence", {"s": np.zeros(24000)}, split="train")
    with pytest.raises(InputError, match=r"no example can be made: 20 attempts in a row failed.*silent"):
        Enhancement(settings([{"corpus": corpus}])).example(0, 0)


def test_files_of_three_samples_are_no_material(write_corpus):
    corpus = write_corpus("tiny", {"t": np.ones(3)}, split="train")
    with pytest.raises(InputError, match=r"no recording of split 'train', at least 0.1 s"):
        Enhancement(settings([{"corpus": corpus}]))


def test_an_empty_split_is_told_with_those_there_are(speech_corpus):
    with pytest.raises(InputError, match=r"no recording of split 'valid'.*splits there: train"):
        Enhancement(settings([{"corpus": speech_corpus}], split="valid"))


@pytest.mark.parametrize("snr_db", [-100, 100])
def test_extreme_ratios_stay_finite(speech_corpus, snr_db):
    stream = Enhancement(settings([{"corpus": speech_corpus}], chain=[{"hiss": {"snr_db": snr_db}}]))
    example = stream.example(0, 0)
    assert np.isfinite(example.degraded).all()
    assert np.abs(example.degraded).max() <= 0.9901


def test_unknown_settings_and_chains_are_named(speech_corpus):
    from resound.mixing.config import load_mixing

    with pytest.raises(ConfigError, match=r"clean\.0\.shares: no such setting"):
        load_mixing(None, ["task=enhance", f"clean=[{{corpus: {speech_corpus}, shares: 1}}]", "chain=film-1960s"])
    with pytest.raises(ConfigError, match="did you mean 'film-1960s'"):
        load_mixing(None, [f"clean={{corpus: {speech_corpus}}}", "chain=film-1960"])
    with pytest.raises(ConfigError, match="task is enhance, separate, pairs, not 'enhence'"):
        load_mixing(None, ["task=enhence"])


def test_what_there_is_to_learn_from_is_told(speech_corpus, music_corpus):
    told = Enhancement(settings([{"corpus": speech_corpus, "share": 3}, {"corpus": music_corpus}])).describe()
    assert told["segments"] == 8 * 3 + 2 * 5
    assert [kind["share"] for kind in told["kinds"]] == [0.75, 0.25]
    assert [kind["speakers"] for kind in told["kinds"]] == [4, 0]


@pytest.mark.parametrize(("n_ranks", "n_workers", "start"), [(1, 1, 0), (2, 3, 0), (3, 2, 6), (1, 4, 5)])
def test_shards_cover_every_example_once(n_ranks, n_workers, start):
    seen = [
        index
        for rank in range(n_ranks)
        for worker in range(n_workers)
        for index in shard(31, rank=rank, n_ranks=n_ranks, worker=worker, n_workers=n_workers, start=start)
    ]
    assert sorted(seen) == list(range(start, 31))


def test_recorded_noise_comes_from_the_split_of_the_clean_part(speech_corpus, write_corpus):
    noises = {f"n{k}": noise(4, 8000, 0.05, seed=k) for k in range(4)}
    splits = {"n0": "train", "n1": "valid", "n2": "train", "n3": "valid"}
    bank = write_corpus("noise", noises, domain="noise", split=splits)
    stream = Enhancement(settings([{"corpus": speech_corpus}], chain=[{"noise": {"bank": str(bank), "snr_db": 5}}]))
    files = {item.recipe["chain"][0]["noise"]["file"] for item in in_order(stream, 0, range(20))}
    assert {name.rsplit("/", 1)[-1] for name in files} == {"n0.wav", "n2.wav"}
    assert stream.describe()["distinct_mixtures"] == 24 * 8


def test_a_folder_of_noises_serves_every_split(speech_corpus, write_corpus):
    write_corpus("noise", {"n": noise(4, 8000, 0.05)}, domain="noise")
    folder = str(speech_corpus.parent / "noise")
    stream = Enhancement(settings([{"corpus": speech_corpus}], chain=[{"noise": {"bank": folder, "snr_db": 5}}]))
    assert stream.example(0, 0).recipe["chain"][0]["noise"]["file"].endswith("n.wav")


def test_a_noise_shorter_than_the_segment_is_looped(speech_corpus, write_corpus):
    bank = write_corpus("noise", {"n": noise(0.4, 8000, 0.05)}, domain="noise", split="train")
    chain = [{"noise": {"bank": str(bank), "snr_db": 5}}]
    example = Enhancement(settings([{"corpus": speech_corpus}], chain=chain, segment_seconds=2.0)).example(0, 0)
    added = (example.degraded - example.clean)[0]
    quarters = [np.mean(quarter**2) for quarter in np.split(added, 4)]
    assert max(quarters) < 1.5 * min(quarters)


def test_a_response_longer_than_the_segment_is_no_trouble(speech_corpus, write_corpus):
    response = np.exp(-np.arange(24000) / 4000) * noise(3, 8000, 1.0)
    response[0] = 3.0
    rooms = write_corpus("rooms", {"r": response}, domain="room", split="train")
    stream = Enhancement(settings([{"corpus": speech_corpus}], chain=[{"room": {"bank": str(rooms)}}]))
    example = stream.example(0, 0)
    assert example.degraded.shape == (1, 8000)
    assert np.isfinite(example.degraded).all()
    assert not np.array_equal(example.degraded, example.clean)


def test_the_degraded_side_of_pairs_is_no_clean_material(write_corpus):
    sounds = {name: speech_like(3, 8000, seed) for seed, name in enumerate(["a", "b", "c"])}
    roles = {"a": "clean", "b": "degraded", "c": "mixture"}
    corpus = write_corpus("pairs", sounds, split="train", role=roles)
    files = {
        item.recipe["clean"]["file"] for item in in_order(Enhancement(settings([{"corpus": corpus}])), 0, range(9))
    }
    assert {name.rsplit("/", 1)[-1] for name in files} == {"a.wav"}


def test_of_a_manifest_of_everything_only_noise_is_added_as_noise(speech_corpus, write_corpus):
    sounds = {"speech": speech_like(3, 8000), "noise": noise(3, 8000), "room": noise(3, 8000, seed=2)}
    recordings = []
    for name in sounds:
        path = write_corpus(f"only_{name}", {name: sounds[name]}, domain=name, split="train")
        recordings += read_manifest(path).recordings
    write_manifest(speech_corpus.parent / "everything.jsonl", Manifest(speech_corpus.parent, recordings))
    chain = [{"noise": {"bank": str(speech_corpus.parent / "everything.jsonl"), "snr_db": 5}}]
    stream = Enhancement(settings([{"corpus": speech_corpus}], chain=chain))
    files = {item.recipe["chain"][0]["noise"]["file"] for item in in_order(stream, 0, range(9))}
    assert {name.rsplit("/", 1)[-1] for name in files} == {"noise.wav"}


@pytest.fixture
def everything(write_corpus, tmp_path):
    """A manifest with a recording of each domain, named after it."""
    recordings = []
    for seed, domain in enumerate(("speech", "effects", "music", "noise", "room", "vintage", "")):
        name = domain or "none"
        path = write_corpus(f"only_{name}", {name: speech_like(3, 8000, seed)}, domain=domain, split="train")
        recordings += read_manifest(path).recordings
    write_manifest(tmp_path / "everything.jsonl", Manifest(tmp_path, recordings))
    return tmp_path / "everything.jsonl"


def clean_names(stream, n: int = 12) -> set[str]:
    return {item.recipe["clean"]["file"].rsplit("/", 1)[-1] for item in in_order(stream, 0, range(n))}


def test_noise_rooms_and_old_recordings_are_no_clean_material_unless_asked_for(everything):
    names = clean_names(Enhancement(settings({"corpus": everything})))
    assert names == {"speech.wav", "effects.wav", "music.wav", "none.wav"}
    assert clean_names(Enhancement(settings({"corpus": everything, "domain": "vintage"}))) == {"vintage.wav"}


def test_what_is_narrower_than_asked_by_its_manifest_or_its_rate_is_left_out(write_corpus):
    sounds = {key: speech_like(2, 8000, seed=number) for number, key in enumerate(("said", "unsaid", "narrow"))}
    corpus = write_corpus("s", sounds, bandwidth_hz={"said": 4000.0, "unsaid": None, "narrow": 2000.0}, split="train")
    assert clean_names(Enhancement(settings({"corpus": corpus, "min_bandwidth_hz": 3500}))) == {
        "said.wav",
        "unsaid.wav",
    }
    with pytest.raises(InputError, match="no recording of split"):  # of 8 kHz, so 4 kHz wide whatever it does not say
        Enhancement(settings({"corpus": corpus, "min_bandwidth_hz": 4500}))


def test_a_corpus_of_noise_alone_is_refused_with_the_setting_that_takes_it(write_corpus):
    corpus = write_corpus("hum", {"n": noise(3, 8000)}, domain="noise", split="train")
    with pytest.raises(InputError, match=r"of domain speech, effects or music \(.*domains there: noise\); .*'domain:"):
        Enhancement(settings({"corpus": corpus}))


@pytest.mark.parametrize("name", ["noise", "room", "babble"])
def test_a_fault_of_a_bank_is_told_when_the_examples_are_opened(speech_corpus, music_corpus, name):
    for bank, message in (("absent.jsonl", "no such folder"), (str(music_corpus), r"\(there are music\)")):
        chain = [{"one_of": [{name: {"bank": bank}}], "probability": 0.1}]
        with pytest.raises(InputError, match=message):
            Enhancement(settings({"corpus": speech_corpus}, chain=chain))


def test_skipped_noise_is_counted_by_reason_whatever_was_drawn(speech_corpus, write_corpus):
    sounds = {"mute": np.zeros(32000), "good": noise(4, 8000, 0.05)}
    bank = write_corpus("noise", sounds, domain="noise", split="train")
    stream = Enhancement(settings({"corpus": speech_corpus}, chain=[{"noise": {"bank": str(bank)}}]))
    list(in_order(stream, 0, range(20)))
    assert len(stream.skipped) == 1
    assert stream.skipped.total() > 3


@pytest.mark.parametrize(("epoch", "index"), [(0, -1), (0, 40), (-1, 0)])
def test_an_example_that_there_is_not_is_refused(speech_corpus, epoch, index):
    with pytest.raises(IndexError, match=f"there is no example {index} of epoch {epoch}; .*from 0 to 39"):
        Enhancement(settings({"corpus": speech_corpus})).example(epoch, index)


def test_numbers_of_other_kinds_are_the_same_example_and_fractions_are_refused(speech_corpus):
    stream = Enhancement(settings({"corpus": speech_corpus}))
    assert fingerprint(stream.example(np.int64(1), np.int32(2))) == fingerprint(stream.example(1, 2))
    with pytest.raises(TypeError, match=r"whole numbers, not 0 and 1\.5"):
        stream.example(0, 1.5)


def test_without_a_number_an_epoch_has_each_segment_once(speech_corpus):
    assert Enhancement(settings({"corpus": speech_corpus}, n_examples=None)).n_examples == 8 * 3


def test_the_target_may_have_the_response_too(speech_corpus):
    chain = [{"one_of": [{"band_limit": {"high_hz": 1500}}]}, {"hiss": {"snr_db": 20}}]
    both = Enhancement(settings([{"corpus": speech_corpus}], chain=chain, same_on_target="band_limit", peak=None))
    alone = Enhancement(settings([{"corpus": speech_corpus}], chain=chain, peak=None))
    ratios_db = []
    for stream in (both, alone):
        example = stream.example(0, 0)
        noise_power = np.mean((example.degraded - example.clean) ** 2)
        ratios_db.append(10 * np.log10(np.mean(example.clean**2) / noise_power))
    assert ratios_db[0] == pytest.approx(20, abs=0.01)
    assert ratios_db[1] < 15


def test_a_step_that_the_chain_has_not_is_named(speech_corpus):
    with pytest.raises(ConfigError, match="same_on_target: the chain has no step 'his' \\(did you mean 'hiss'"):
        Enhancement(settings([{"corpus": speech_corpus}], same_on_target=["his"]))

"""Pairs from disk: both sides from the same place, and only if they belong together."""

import numpy as np
import pytest

from conftest import write_wav
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.errors import InputError
from resound.mixing.config import PairsConfig
from resound.mixing.example import in_order
from resound.mixing.pairs import Pairs
from signals import noise, speech_like


@pytest.fixture
def folders(tmp_path):
    for number in range(3):
        clean = speech_like(3, 8000, seed=number)[None]
        write_wav(tmp_path / "clean" / f"p{number}.wav", clean, subtype="FLOAT")
        degraded = clean + noise(3, 8000, seed=number)[None]
        write_wav(tmp_path / "noisy" / f"p{number}.wav", degraded, subtype="FLOAT")
    return tmp_path


def settings(**more) -> PairsConfig:
    return PairsConfig.model_validate({"sample_rate": 8000, "segment_seconds": 1.0, "n_examples": 20} | more)


def assert_sides_match(example):
    removed = example.degraded - example.clean
    assert np.sqrt(np.mean(removed**2)) == pytest.approx(0.01, rel=0.05)


def test_both_sides_come_from_the_same_place(folders):
    stream = Pairs(settings(clean=folders / "clean", degraded=folders / "noisy", peak=None))
    for example in in_order(stream, 0, range(10)):
        assert_sides_match(example)


def test_a_manifest_gives_its_pairs_by_group_and_role(folders):
    recordings = [
        Recording(f"{side}/p{k}.wav", 24000, 8000, group=f"p{k}", role=role, split="valid" if k == 2 else "train")
        for k in range(3)
        for side, role in (("clean", "clean"), ("noisy", "degraded"))
    ]
    write_manifest(folders / "pairs.jsonl", Manifest(folders, recordings))
    stream = Pairs(settings(pairs=folders / "pairs.jsonl", peak=None))
    assert stream.describe()["pairs"] == 2
    for example in in_order(stream, 0, range(6)):
        assert_sides_match(example)


def test_short_pairs_are_padded_alike(tmp_path):
    clean = speech_like(1.5, 8000)[None]
    write_wav(tmp_path / "clean" / "a.wav", clean, subtype="FLOAT")
    write_wav(tmp_path / "noisy" / "a.wav", clean + 0.01, subtype="FLOAT")
    stream = Pairs(settings(clean=tmp_path / "clean", degraded=tmp_path / "noisy", segment_seconds=2.0, peak=None))
    example = stream.example(0, 0)
    inside = slice(example.recipe["clean"]["pad_samples"], example.recipe["clean"]["pad_samples"] + 12000)
    np.testing.assert_allclose((example.degraded - example.clean)[0, inside], 0.01, atol=1e-6)


def test_pairs_of_different_length_are_refused(folders):
    write_wav(folders / "noisy" / "p1.wav", noise(2.5, 8000)[None])
    with pytest.raises(InputError, match=r"p1.wav: is 2.500 s long, its clean side .* 3.000 s"):
        Pairs(settings(clean=folders / "clean", degraded=folders / "noisy"))


def test_names_on_one_side_only_are_counted(folders):
    write_wav(folders / "noisy" / "extra.wav", noise(3, 8000)[None])
    stream = Pairs(settings(clean=folders / "clean", degraded=folders / "noisy"))
    assert stream.describe()["pairs"] == 3
    assert stream.skipped["extra.wav: has no clean side"] == 1


def test_two_files_of_one_name_are_named(folders):
    write_wav(folders / "noisy" / "p1.flac", noise(3, 8000)[None])
    with pytest.raises(InputError, match=r"noisy: holds p1.flac and p1.wav, two recordings of one name; move one"):
        Pairs(settings(clean=folders / "clean", degraded=folders / "noisy"))


@pytest.mark.parametrize("missing", ["clean", "noisy"])
def test_a_folder_that_is_not_there_is_named(folders, missing):
    config = settings(clean=folders / "clean", degraded=folders / "noisy")
    (folders / missing).rename(folders / "elsewhere")
    with pytest.raises(InputError, match=f"{missing}: is no folder"):
        Pairs(config)


def test_folders_without_a_common_name_are_refused(folders):
    for path in (folders / "noisy").iterdir():
        path.rename(path.with_name("x" + path.name))
    with pytest.raises(InputError, match="no name is in both"):
        Pairs(settings(clean=folders / "clean", degraded=folders / "noisy"))


def test_a_denoised_side_may_be_given_too(folders):
    for number in range(3):
        write_wav(
            folders / "denoised" / f"p{number}.wav", 0.5 * speech_like(3, 8000, seed=number)[None], subtype="FLOAT"
        )
    recordings = [
        Recording(f"{folder}/p{k}.wav", 24000, 8000, group=f"p{k}", role=role)
        for k in range(3)
        for folder, role in (("clean", "clean"), ("noisy", "degraded"), ("denoised", "denoised"))
    ]
    write_manifest(folders / "pairs.jsonl", Manifest(folders, recordings))
    stream = Pairs(settings(pairs=folders / "pairs.jsonl", inputs=["denoised", "degraded"], peak=None))
    example = stream.example(0, 0)
    assert example.degraded.shape == (2, 8000)
    assert example.task == "regenerate"
    np.testing.assert_allclose(example.degraded[0], 0.5 * example.clean[0], atol=1e-6)
    assert np.sqrt(np.mean((example.degraded[1] - example.clean[0]) ** 2)) == pytest.approx(0.01, rel=0.05)


def test_the_denoised_side_comes_first():
    with pytest.raises(ValueError, match=r"\[degraded\] or \[denoised\] or \[denoised, degraded\]"):
        settings(pairs="pairs.jsonl", inputs=["degraded", "denoised"])


def test_folders_have_no_denoised_side(folders):
    with pytest.raises(ValueError, match="two folders give"):
        settings(clean=folders / "clean", degraded=folders / "noisy", inputs=["denoised"])

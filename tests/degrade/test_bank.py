"""Banks of recordings, and stretches out of them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.stats import kstest

from conftest import write_wav
from resound.corpora.manifest import Manifest, Recording, write_manifest
from resound.degrade import bank as bank_module
from resound.degrade.babble import Babble
from resound.degrade.bank import loop_to_length, open_bank, read_stretch, with_channels
from resound.degrade.cache import ArrayCache
from resound.degrade.noise import RecordedNoise
from resound.errors import InputError

RATE = 8000


def ramp(n_samples: int, n_channels: int = 1) -> np.ndarray:
    return np.tile(np.arange(n_samples, dtype=np.float32) / 2**20, (n_channels, 1))


def manifest(path: Path, *recordings: Recording) -> str:
    write_manifest(path, Manifest(path.parent, list(recordings)))
    return str(path)


class TestBank:
    def test_a_folder_gives_its_recordings_at_any_depth(self, tmp_path):
        for name in ("b.wav", "deep/er/a.flac", "deep/c.WAV"):
            write_wav(tmp_path / name)
        (tmp_path / "notes.txt").write_text("no sound")
        (tmp_path / "._b.wav").write_text("left by another system")
        assert open_bank(tmp_path).files == tuple(str(tmp_path / n) for n in ("b.wav", "deep/c.WAV", "deep/er/a.flac"))

    def test_a_file_is_a_bank_of_one(self, tmp_path):
        file = str(write_wav(tmp_path / "hall.wav"))
        assert open_bank(file).files == (file,)

    def test_a_manifest_gives_one_split(self, tmp_path):
        source = manifest(
            tmp_path / "m.jsonl",
            Recording("b.wav", 8000, RATE, split="train"),
            Recording("a.wav", 16000, RATE, split="train"),
            Recording("c.wav", 8000, RATE, split="valid"),
        )
        train = open_bank(source, "train")
        assert train.files == (str(tmp_path / "a.wav"), str(tmp_path / "b.wav"))
        assert train.seconds.tolist() == [2, 1]
        assert len(open_bank(source).files) == 3
        with pytest.raises(InputError, match=r"m\.jsonl: has no recordings of split 'test' \(there are train, valid\)"):
            open_bank(source, "test")

    def test_each_file_is_as_likely(self, tmp_path):
        for n_samples in (100, 40000):
            write_wav(tmp_path / f"{n_samples}.wav", n_samples=n_samples)
        rng = np.random.default_rng(0)
        drawn = [open_bank(tmp_path).draw(rng) for _ in range(1000)]
        assert drawn.count(str(tmp_path / "100.wav")) == pytest.approx(500, abs=60)

    def test_each_second_is_as_likely_when_picked_by_duration(self, tmp_path):
        for n_samples in (10000, 30000):
            write_wav(tmp_path / f"{n_samples}.wav", n_samples=n_samples)
        rng = np.random.default_rng(0)
        drawn = [open_bank(tmp_path).draw(rng, "duration") for _ in range(1000)]
        assert drawn.count(str(tmp_path / "10000.wav")) == pytest.approx(250, abs=55)

    def test_talkers_are_different_people(self, tmp_path):
        people = [Recording(f"{i}.wav", 8000, RATE, speaker=f"s{i % 5}") for i in range(50)]
        bank = open_bank(manifest(tmp_path / "m.jsonl", *people))
        for seed in range(10):
            numbers = [int(Path(file).stem) % 5 for file in bank.draw_speakers(np.random.default_rng(seed), 5)]
            assert sorted(numbers) == [0, 1, 2, 3, 4]
        assert len(bank.draw_speakers(np.random.default_rng(0), 8)) == 8  # some come again

    def test_to_draw_opens_no_file(self, tmp_path):
        (tmp_path / "broken.wav").write_text("no sound")
        assert open_bank(tmp_path).draw(np.random.default_rng(0)) == str(tmp_path / "broken.wav")

    def test_a_bank_is_read_once_and_can_be_sent(self, tmp_path):
        write_wav(tmp_path / "a.wav")
        bank = open_bank(tmp_path)
        assert open_bank(tmp_path) is bank
        assert pickle.loads(pickle.dumps(bank)).files == bank.files

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("missing", "missing: no such folder, manifest or recording"),
            ("empty", "empty: holds no recordings; give a folder with WAV"),
            ("broken.jsonl", "broken.jsonl: line 1 is not"),
        ],
    )
    def test_what_is_no_bank_is_named(self, here, name, message):
        (here / "empty").mkdir()
        (here / "broken.jsonl").write_text("?\n")
        with pytest.raises(InputError) as error:
            open_bank(name)
        assert str(error.value).startswith(message) and "\n" not in str(error.value)

    def test_domains_that_are_not_asked_for_are_left_out_never_taken_for_want_of_others(self, tmp_path):
        rows = [Recording(f"{name}.wav", 8000, RATE, domain=name) for name in ("noise", "effects", "room", "vintage")]
        source = manifest(tmp_path / "m.jsonl", *rows, Recording("plain.wav", 8000, RATE))
        names = {Path(file).stem for file in RecordedNoise(bank=source).open().files}
        assert names == {"noise", "effects", "plain"}
        assert [Path(file).stem for file in RecordedNoise(bank=source, domain="vintage").open().files] == ["vintage"]
        with pytest.raises(
            InputError, match=r"no recordings of speech \(there are effects, noise, none, room, vintage\)"
        ):
            Babble(bank=source, domain="speech").open()

    def test_a_folder_has_no_splits(self, tmp_path):
        with pytest.raises(InputError, match="has no splits, so no 'train'; give a manifest"):
            open_bank(tmp_path, "train")


class TestStretch:
    def test_positions_reach_from_the_first_to_the_last_sample(self, tmp_path):
        file = str(write_wav(tmp_path / "ramp.wav", ramp(1000), rate=RATE, subtype="FLOAT"))
        for position, first in ((0, 0), (0.5, 450), (1, 900)):
            np.testing.assert_array_equal(
                read_stretch(file, RATE, 100, position=position)[0], ramp(1000)[0, first:][:100]
            )

    def test_starts_are_spread_evenly(self, tmp_path):
        file = str(write_wav(tmp_path / "ramp.wav", ramp(4000), rate=RATE, subtype="FLOAT"))
        rng = np.random.default_rng(0)
        starts = [read_stretch(file, RATE, 400, position=rng.random())[0, 0] * 2**20 / 3600 for _ in range(300)]
        assert kstest(starts, "uniform").pvalue > 0.01

    @pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
    @pytest.mark.parametrize("n_samples", [1, 3, 999, 4000])
    def test_a_stretch_is_as_long_as_asked_for_at_any_rate(self, tmp_path, rate, n_samples):
        file = str(write_wav(tmp_path / "noise.wav", rate=22050, n_samples=11025))
        assert read_stretch(file, rate, n_samples, position=1).shape == (1, n_samples)

    @pytest.mark.parametrize("position", [0, 0.37, 1])
    def test_a_short_recording_is_looped(self, tmp_path, position):
        file = str(write_wav(tmp_path / "short.wav", rate=RATE, n_samples=1000))
        looped = read_stretch(file, RATE, 9000, position=position)
        assert looped.shape == (1, 9000)
        period = 1000 - round(0.05 * RATE)
        np.testing.assert_array_equal(looped[0, 2000 : 2000 + period], looped[0, 2000 + period : 2000 + 2 * period])

    def test_a_short_recording_is_decoded_once(self, tmp_path, monkeypatch):
        file = str(write_wav(tmp_path / "short.wav", rate=RATE, n_samples=1000))
        once = read_stretch(file, RATE, 9000, position=0.2)
        monkeypatch.setattr(bank_module, "read_segment", lambda *_, **__: pytest.fail("read again"))
        monkeypatch.setattr(bank_module, "read_excerpt", lambda *_, **__: pytest.fail("read again"))
        np.testing.assert_array_equal(read_stretch(file, RATE, 9000, position=0.2), once)

    def test_what_is_held_of_short_recordings_is_bounded(self, tmp_path, monkeypatch):
        held = ArrayCache(10000)
        monkeypatch.setattr(bank_module, "_DECODED", held)
        for name in range(6):
            read_stretch(str(write_wav(tmp_path / f"{name}.wav", rate=RATE, n_samples=1000)), RATE, 2000, position=0)
        assert held.n_bytes == 8000

    def test_a_changed_recording_is_read_anew(self, tmp_path):
        import os

        file = str(write_wav(tmp_path / "a.wav", ramp(1000), rate=RATE, subtype="FLOAT"))
        read_stretch(file, RATE, 2000, position=0)
        write_wav(tmp_path / "a.wav", -ramp(1500), rate=RATE, subtype="FLOAT")
        os.utime(file, ns=(1, 1))
        np.testing.assert_array_equal(read_stretch(file, RATE, 1200, position=0), -ramp(1200))

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("gone.wav", "gone.wav: no such recording; put it back, or scan the bank again"),
            ("text.wav", "text.wav: "),
            ("three.wav", "three.wav: 3 samples are too short to loop; give at least 0.1 s"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, here, name, message):
        Path("text.wav").write_text("no sound at all, but some text\n" * 10)
        write_wav(Path("three.wav"), rate=RATE, n_samples=3)
        with pytest.raises(InputError) as error:
            read_stretch(name, RATE, 8000, position=0)
        assert str(error.value).startswith(message) and "\n" not in str(error.value)


class TestLoop:
    @pytest.mark.parametrize("length", [1, 2, 3, 500])
    @pytest.mark.parametrize("fade", [0, 1, 100, 10**6])
    @pytest.mark.parametrize("n_samples", [0, 1, 499, 500, 501, 5000])
    def test_the_result_is_as_long_as_asked_for(self, length, fade, n_samples):
        assert loop_to_length(ramp(length, 2), n_samples, fade).shape == (2, n_samples)

    def test_the_level_of_noise_stays_the_same_across_the_seams(self):
        noise = np.random.default_rng(0).standard_normal((400, 1000)).astype(np.float32)
        power = np.mean(np.square(loop_to_length(noise, 5000, 200)), axis=0)  # of 400 noises
        assert power.min() > 0.7 and power.max() < 1.35 and power.mean() == pytest.approx(1, abs=0.02)
        seam = power[800:1000]  # where the first end fades into the first beginning
        assert seam.mean() == pytest.approx(1, abs=0.03)

    def test_there_is_no_step_at_the_seams(self):
        slow = np.sin(np.arange(1000) * 0.01).astype(np.float32)[None]  # from 0 to -0.55
        assert np.abs(np.diff(loop_to_length(slow, 9000, 200))).max() < 0.03

    def test_noise_that_is_long_enough_is_only_cut(self):
        np.testing.assert_array_equal(loop_to_length(ramp(100), 60, 10), ramp(60))

    def test_no_samples_cannot_be_looped(self):
        with pytest.raises(InputError, match="the noise holds no samples, so it cannot be looped"):
            loop_to_length(ramp(0), 10, 5)


@pytest.mark.parametrize(("n_channels", "wanted"), [(1, 1), (1, 2), (2, 1), (2, 2), (6, 2)])
def test_channels_are_kept_or_averaged(n_channels, wanted):
    audio = np.arange(n_channels * 4, dtype=np.float32).reshape(n_channels, 4)
    expected = audio if n_channels == wanted else np.tile(audio.mean(axis=0), (wanted, 1))
    np.testing.assert_array_equal(with_channels(audio, wanted), expected)


class TestHeldRecordings:
    def test_a_file_that_comes_often_gives_the_same_samples(self, tmp_path):
        file = str(tmp_path / "noise.flac")
        soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal((40000, 2)), RATE, subtype="PCM_16")
        for position in (0.0, 0.21, 0.5, 1.0):
            fresh = bank_module.read_segment(Path(file), start_samples=round(position * 32000), n_samples=8000)[0]
            for _ in range(3):
                np.testing.assert_array_equal(read_stretch(file, RATE, 8000, position=position), fresh)

    def test_what_is_held_is_bounded(self, tmp_path, monkeypatch):
        held = ArrayCache(500_000)
        monkeypatch.setattr(bank_module, "_HELD", held)
        for _ in range(3):
            for name in range(6):
                file = tmp_path / f"{name}.flac"
                if not file.exists():
                    soundfile.write(file, np.full(40000, 0.1), RATE)
                read_stretch(str(file), RATE, 8000, position=0.5)
        assert 0 < held.n_bytes <= 500_000

    def test_lossy_files_are_not_held(self, tmp_path, monkeypatch):
        held = ArrayCache(1 << 20)
        monkeypatch.setattr(bank_module, "_HELD", held)
        file = str(tmp_path / "noise.ogg")
        soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal(40000), RATE)
        for _ in range(3):
            read_stretch(file, RATE, 8000, position=0.5)
        assert held.n_bytes == 0

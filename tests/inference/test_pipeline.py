"""The promises of a restoration, over lengths, rates, channels, formats and strengths."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import resound
from conftest import files_below, hiss, read_sound, write_wav
from resound.audio.files import open_reader
from resound.classic.chain import ClassicConfig
from resound.errors import ConfigError, InputError, ModelError, OutputError
from resound.inference.offline import StageReport
from resound.inference.pipeline import Options, restore_file, restored

RATES = (8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000, 384000)
# (suffix, subtype, whether its samples are whole numbers)
LOSSLESS = (
    (".wav", "PCM_U8", True),
    (".wav", "PCM_16", True),
    (".wav", "PCM_24", True),
    (".wav", "PCM_32", True),
    (".wav", "FLOAT", False),
    (".wav", "DOUBLE", False),
    (".flac", "PCM_16", True),
    (".flac", "PCM_24", True),
    (".aiff", "PCM_S8", True),
    (".aiff", "PCM_24", True),
    (".aiff", "FLOAT", False),
    (".caf", "PCM_32", True),
    (".au", "DOUBLE", False),
)
lengths = st.one_of(st.integers(1, 40), st.integers(1, 24000))
strengths = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
often = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seldom = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def worn(n_samples: int, n_channels: int = 1, *, rate: int = 8000, seed: int = 0) -> NDArray[np.float64]:
    """Return ``(channel, time)`` with all that the stages look for: a tone that comes and goes, hum, hiss, clicks."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_samples) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) * (np.sin(2 * np.pi * 1.5 * time) > 0)
    hum = 0.02 * sum(np.sin(2 * np.pi * 50 * n * time) for n in (1, 2, 3))
    sound = np.tile(tone + hum, (n_channels, 1)) + 0.01 * rng.standard_normal((n_channels, n_samples))
    for position in rng.integers(0, n_samples, max(1, 10 * n_samples // rate)):
        sound[:, position : position + 3] += 0.5
    return sound


def peak(samples: NDArray) -> float:
    return float(np.abs(samples).max())


# Arrays


@pytest.fixture(scope="module")
def pair() -> tuple[NDArray, NDArray]:
    """Return two seconds of worn stereo, and the same restored."""
    sound = worn(16000, 2)
    return sound, resound.restore(sound, 8000)


def test_something_is_removed_at_all(pair):
    sound, clean = pair
    assert np.mean((sound - clean) ** 2) > 1e-5


@given(n_samples=lengths, rate=st.sampled_from(RATES), n_channels=st.integers(1, 8), strength=strengths)
@often
def test_an_array_keeps_its_shape_and_stays_finite(n_samples, rate, n_channels, strength):
    sound = worn(n_samples, n_channels, rate=rate)
    clean = resound.restore(sound, rate, strength=strength)
    assert clean.shape == sound.shape
    assert np.isfinite(clean).all()
    if strength == 0:
        np.testing.assert_array_equal(clean, sound)


@given(strength=st.floats(0, 1))
@seldom
def test_what_is_removed_grows_linearly_with_strength(pair, strength):
    sound, clean = pair
    partly = resound.restore(sound, 8000, strength=strength)
    np.testing.assert_allclose(partly, sound + strength * (clean - sound), atol=1e-15)


@given(gain=st.floats(1e-3, 1))
@seldom
def test_what_is_done_at_one_level_is_done_at_every_level(pair, gain):
    sound, clean = pair[0], resound.restore(pair[0], 8000, "classic")
    quiet = resound.restore(gain * sound, 8000, "classic")
    # float32 spectra: their rounding is 1e-7 of the level
    assert peak(quiet - gain * clean) < 1e-6 * gain * peak(clean)


def test_polarity_does_not_matter(pair):
    sound, clean = pair[0], resound.restore(pair[0], 8000, "classic")
    np.testing.assert_allclose(resound.restore(-sound, 8000, "classic"), -clean, atol=1e-12)


@given(n_samples=lengths, n_channels=st.integers(1, 8), rate=st.sampled_from(RATES))
@often
def test_silence_stays_silence(n_samples, n_channels, rate):
    assert not resound.restore(np.zeros((n_channels, n_samples)), rate).any()


@given(n_samples=lengths, n_channels=st.integers(2, 8), seed=st.integers(0, 99))
@seldom
def test_identical_channels_stay_identical(n_samples, n_channels, seed):
    sound = np.tile(worn(n_samples, seed=seed), (n_channels, 1))
    clean = resound.restore(sound, 8000)
    for channel in clean[1:]:
        np.testing.assert_array_equal(channel, clean[0])


def test_a_quiet_channel_stays_quiet_beside_a_loud_one():
    sound = worn(16000, 2)
    sound[1] = 0
    assert not resound.restore(sound, 8000)[1].any()


def test_the_same_input_gives_the_same_output(pair):
    sound, clean = pair
    np.testing.assert_array_equal(resound.restore(sound, 8000), clean)


def test_the_input_array_is_not_touched():
    sound = worn(16000)
    sound[0, 5] = np.nan
    before = sound.copy()
    resound.restore(sound, 8000)
    np.testing.assert_array_equal(sound, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(16000,), (1, 16000), (2, 16000), (0,), (2, 0)])
def test_type_and_shape_come_back(dtype, shape):
    sound = worn(16000, 2)[: shape[0] if len(shape) == 2 else 1, : shape[-1]].reshape(shape).astype(dtype)
    clean = resound.restore(sound, 8000)
    assert (clean.dtype, clean.shape) == (dtype, shape)


def test_one_dimension_is_one_channel():
    sound = worn(16000)
    np.testing.assert_array_equal(resound.restore(sound[0], 8000), resound.restore(sound, 8000)[0])


def test_float32_differs_from_float64_only_by_rounding(pair):
    sound, _ = pair
    single = sound.astype(np.float32)
    np.testing.assert_array_equal(
        resound.restore(single, 8000), resound.restore(single.astype(np.float64), 8000).astype(np.float32)
    )


def test_samples_that_are_not_finite_count_as_silence():
    sound = worn(16000)
    sound[0, 100:110], sound[0, 5000] = np.nan, np.inf
    as_zeros = np.where(np.isfinite(sound), sound, 0)
    np.testing.assert_array_equal(resound.restore(sound, 8000), resound.restore(as_zeros, 8000))


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(100, dtype=np.int16), 8000, "samples are int16; convert them to float32 or float64"),
        (np.zeros((1, 2, 100)), 8000, "samples have shape (1, 2, 100); give (time,) or (channel, time)"),
        (np.zeros((100, 2)), 8000, "samples have shape (100, 2); give (time,) or (channel, time)"),
        (np.zeros(100), 100, "sample rate is 100 Hz; give a whole number from 1000"),
        (np.zeros(100), 8000.5, "sample rate is 8000.5 Hz"),
        (np.zeros(100), float("nan"), "sample rate is nan Hz"),
    ],
)
def test_arrays_that_cannot_be_meant_are_refused(samples, rate, message):
    with pytest.raises(ConfigError) as caught:
        resound.restore(samples, rate)
    assert message in str(caught.value)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_strength_outside_0_to_1_is_refused(strength):
    with pytest.raises(ConfigError, match="strength is"):
        resound.restore(np.zeros(100), 8000, strength=strength)


def test_an_unknown_model_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match="did you mean 'classic'"):
        resound.restore(np.zeros(100), 8000, model="clasic")


def test_a_reduction_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="max reduction is 61 dB; give 0 to 60"):
        resound.restore(np.zeros(100), 8000, max_reduction_db=61)


def test_the_sum_of_the_stages_reports_is_what_went_in_and_out():
    class Halve:
        name, sample_rate, context = "halve", 8000, 0

        def process(self, block):
            return block / 2

    reports = [StageReport("first"), StageReport("second")]
    sound = worn(16000)
    blocks = [sound[:, start : start + 999] for start in range(0, 16000, 999)]
    pairs = list(restored(blocks, [Halve(), Halve()], sample_rate=8000, reports=reports))
    np.testing.assert_array_equal(np.concatenate([before for before, _ in pairs], axis=1), sound)
    np.testing.assert_allclose(np.concatenate([after for _, after in pairs], axis=1), sound / 4)
    assert reports[0].energy_in == pytest.approx(np.sum(sound**2))
    assert reports[1].energy_in == pytest.approx(np.sum(sound**2) / 4)
    assert reports[0].removed_db == pytest.approx(20 * np.log10(0.5))


# Files


@given(
    n_samples=lengths,
    rate=st.sampled_from(RATES),
    n_channels=st.integers(1, 8),
    kind=st.sampled_from(LOSSLESS),
    strength=strengths,
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_keeps_its_form_and_input_is_output_plus_removed(n_samples, rate, n_channels, kind, strength):
    suffix, subtype, whole = kind
    if subtype == "PCM_S8":  # libsndfile counts the byte that fills up an odd number of them as a sample
        n_samples += n_samples % 2
    with tempfile.TemporaryDirectory() as folder:
        source = write_wav(
            Path(folder) / f"a{suffix}", worn(n_samples, n_channels, rate=rate), rate=rate, subtype=subtype
        )
        before = hashlib.md5(source.read_bytes()).digest()
        report = restore_file(source, Path(folder) / f"b{suffix}", removed=Path(folder) / "r.wav", strength=strength)
        assert hashlib.md5(source.read_bytes()).digest() == before
        told = soundfile.info(Path(folder) / f"b{suffix}")
        assert (told.samplerate, told.channels, told.subtype) == (rate, n_channels, subtype)
        heard, output = read_sound(source), read_sound(Path(folder) / f"b{suffix}")
        removed = read_sound(Path(folder) / "r.wav")
    assert output.shape == removed.shape == heard.shape == (n_channels, n_samples)
    if whole:
        np.testing.assert_array_equal(output + removed, heard)
    else:
        resolution = np.finfo(np.float64 if subtype == "DOUBLE" else np.float32).eps
        np.testing.assert_allclose(output + removed, heard, atol=resolution)
    if strength == 0:
        assert report.output_audio_md5 == report.input_audio_md5
        assert not removed.any()


@pytest.mark.parametrize("kind", LOSSLESS, ids=lambda kind: "".join(map(str, kind[:2])))
def test_strength_0_gives_the_same_samples_bit_for_bit(tmp_path, kind):
    suffix, subtype, _ = kind
    sound = worn(3000, 2)
    sound[0, :10] = -0.0
    source = write_wav(tmp_path / f"a{suffix}", sound, subtype=subtype)
    report = restore_file(source, strength=0.0)
    assert report.output.endswith(f"a_restored_s0{suffix}")
    assert report.output_audio_md5 == report.input_audio_md5
    with open_reader(report.output) as reader:
        for _ in reader.blocks(1000):
            pass
        assert reader.audio_md5 == report.input_audio_md5


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate"),
    [(".ogg", "VORBIS", 44100), (".opus", "OPUS", 48000), (".mp3", "MPEG_LAYER_III", 44100)],
)
@pytest.mark.parametrize("n_samples", [1, 999, 30000])
def test_lossy_files_keep_length_rate_and_channels(tmp_path, suffix, subtype, rate, n_samples):
    soundfile.write(tmp_path / f"a{suffix}", worn(n_samples, 2, rate=rate).T, rate, subtype=subtype, format={
        ".opus": "OGG", ".ogg": "OGG", ".mp3": "MP3"}[suffix])  # fmt: skip
    restore_file(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", removed=tmp_path / "r.wav")
    heard = read_sound(tmp_path / f"a{suffix}")
    assert read_sound(tmp_path / f"b{suffix}").shape == read_sound(tmp_path / "r.wav").shape == heard.shape
    assert soundfile.info(tmp_path / f"b{suffix}").samplerate == rate


def test_files_and_arrays_are_restored_alike(tmp_path):
    sound = worn(20000, 2)
    write_wav(tmp_path / "a.wav", sound, subtype="DOUBLE")
    restore_file(tmp_path / "a.wav", tmp_path / "b.wav")
    np.testing.assert_array_equal(read_sound(tmp_path / "b.wav"), resound.restore(sound, 8000))


def test_an_excerpt_is_what_the_cut_out_part_would_be(tmp_path):
    write_wav(tmp_path / "a.wav", worn(24000))
    cut = read_sound(tmp_path / "a.wav")[:, 4000:13600]
    report = restore_file(tmp_path / "a.wav", start_seconds=0.5, duration_seconds=1.2)
    assert Path(report.output).name == "a_restored_0.5-1.7s.wav"
    np.testing.assert_allclose(read_sound(Path(report.output)), resound.restore(cut, 8000), atol=2.0**-16 * 1.01)
    report = restore_file(tmp_path / "a.wav", start_seconds=0.5, duration_seconds=1.2, strength=0)
    np.testing.assert_array_equal(read_sound(Path(report.output)), cut)


def test_an_excerpt_may_ask_for_more_than_there_is(tmp_path):
    write_wav(tmp_path / "a.wav", n_samples=4000)
    report = restore_file(tmp_path / "a.wav", start_seconds=0.25, duration_seconds=100.0)
    assert report.n_samples == 2000


def test_an_excerpt_behind_the_end_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", n_samples=4000)
    with pytest.raises(InputError, match=r"is 0.500 s long, cannot be read from 0.5 s; start earlier"):
        restore_file(tmp_path / "a.wav", start_seconds=0.5)


def test_tags_are_carried_over(tmp_path):
    for suffix in (".wav", ".flac", ".ogg", ".aiff"):
        with soundfile.SoundFile(tmp_path / f"a{suffix}", "w", 8000, 1) as file:
            file.title = "Au clair de la lune"
            file.write(worn(4000)[0])
        restore_file(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
        with soundfile.SoundFile(tmp_path / f"b{suffix}") as file:
            assert file.title == "Au clair de la lune"


def test_the_log_is_json_and_says_all_that_is_needed_to_do_it_again(tmp_path):
    source = write_wav(tmp_path / "a.wav", worn(16000, 2))
    given = {"model": "classic", "strength": 0.5, "max_reduction_db": 9.0}
    report = restore_file(source, tmp_path / "b.wav", removed=tmp_path / "r.wav", **given)
    told = json.loads((tmp_path / "b.wav.json").read_text(encoding="utf-8"))
    assert told.pop("resound") == told["versions"]["resound"]
    assert told == {key: value for key, value in json.loads(report.to_json()).items() if key != "resound"}
    assert (told["input"], told["output"]) == (str(source), str(tmp_path / "b.wav"))
    assert told["removed"] == str(tmp_path / "r.wav")
    assert (told["model"], told["weights_md5"]) == ("classic", None)
    assert told["parameters"]["strength"] == 0.5
    assert told["parameters"]["max_reduction_db"] == 9.0
    expected = ClassicConfig().with_max_reduction(9.0).model_dump(mode="json")
    assert told["parameters"]["settings"] == expected
    assert (told["sample_rate"], told["n_channels"], told["n_samples"]) == (8000, 2, 16000)
    assert told["duration_seconds"] == 2.0
    for name, path in (("input_audio_md5", source), ("output_audio_md5", tmp_path / "b.wav")):
        integers = soundfile.read(path, dtype="int16")[0]
        assert told[name] == hashlib.md5(integers.astype("<i2").tobytes()).hexdigest()
    before, after, removed = (read_sound(tmp_path / name) for name in ("a.wav", "b.wav", "r.wav"))
    for level, sound in (("level_before", before), ("level_after", after)):
        assert told[level]["peak_dbfs"] == pytest.approx(20 * np.log10(peak(sound)), abs=0.006)
        assert told[level]["rms_dbfs"] == pytest.approx(10 * np.log10(np.mean(sound**2)), abs=0.006)
        assert -60 < told[level]["loudness_lufs"] < 0
    assert list(told["stages"]) == ["declick", "dehum", "dehiss"]
    assert told["removed_db"] == pytest.approx(10 * np.log10(np.sum(removed**2) / np.sum(before**2)), abs=0.006)
    assert set(told["versions"]) == {"python", "resound", "numpy", "scipy", "soxr", "soundfile", "av", "onnxruntime"}


def test_the_same_file_twice_gives_the_same_bytes(tmp_path):
    write_wav(tmp_path / "a.flac", worn(16000))
    contents = []
    for name in ("b.flac", "c.flac"):
        restore_file(tmp_path / "a.flac", tmp_path / name, removed=tmp_path / f"{name}.wav")
        contents.append([(tmp_path / n).read_bytes() for n in (name, f"{name}.wav")])
    assert contents[0] == contents[1]


def test_a_picture_is_drawn_for_any_length_rate_and_silence(tmp_path):
    for index, (sound, rate) in enumerate(
        [(np.full((1, 1), 0.5), 8000), (np.zeros((2, 4000)), 8000), (hiss(9000), 384000)]
    ):
        write_wav(tmp_path / f"{index}.wav", sound, rate=rate)
        restore_file(tmp_path / f"{index}.wav", picture=tmp_path / f"{index}.png")
        content = (tmp_path / f"{index}.png").read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(content[16:20], "big") == 1650  # pixels wide


def test_progress_ends_at_the_length(tmp_path):
    told: list[tuple[float, float | None]] = []
    write_wav(tmp_path / "a.wav", hiss(20000), rate=8000)
    restore_file(tmp_path / "a.wav", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2.5, 2.5)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_whatever_stops_a_run_leaves_nothing_behind(tmp_path):
    write_wav(tmp_path / "a.wav")

    def stop(_done: float, _total: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_file(tmp_path / "a.wav", removed=tmp_path / "r.wav", picture=tmp_path / "p.png", progress=stop)
    assert files_below(tmp_path) == {"a.wav"}


def test_a_result_that_comes_up_meanwhile_is_kept_and_nothing_else_is_written(tmp_path):
    write_wav(tmp_path / "a.wav")

    def somebody_else(_done: float, _total: float | None) -> None:
        (tmp_path / "b.wav").write_text("theirs")

    with pytest.raises(OutputError, match=r"b.wav: exists already"):
        restore_file(tmp_path / "a.wav", tmp_path / "b.wav", removed=tmp_path / "r.wav", progress=somebody_else)
    assert files_below(tmp_path) == {"a.wav", "b.wav"}
    assert (tmp_path / "b.wav").read_text() == "theirs"


def test_clipped_samples_are_counted_and_warned_of(tmp_path):
    sound = np.where(np.arange(8000) % 80 < 40, 1.5, -1.5)[None]
    write_wav(tmp_path / "a.wav", sound, subtype="FLOAT")
    report = restore_file(tmp_path / "a.wav", tmp_path / "b.flac", strength=0)
    assert report.n_clipped == 8000
    assert any("8000 samples exceeded full scale and were clipped" in warning for warning in report.warnings)


def test_options_and_settings_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError, match="give either options or strength, not both"):
        restore_file(tmp_path / "a.wav", options=Options(), strength=0.5)


def test_options_are_checked_when_they_are_made():
    for wrong in ({"strength": 2.0}, {"max_reduction_db": -1.0}, {"start_seconds": -1.0}, {"duration_seconds": 0.0}):
        with pytest.raises(ConfigError):
            replace(Options(), **wrong)


def test_input_is_output_plus_removed_to_the_last_bit_for_float32_too(tmp_path):
    samples = (0.3337 * hiss(20000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples.T, 16000, "FLOAT")
    restore_file(tmp_path / "a.wav", tmp_path / "b.wav", removed=tmp_path / "r.wav", strength=0.37)
    output, removed = (soundfile.read(tmp_path / name)[0] for name in ("b.wav", "r.wav"))
    np.testing.assert_array_equal(output + removed, samples[0].astype(np.float64))


def test_what_stages_removed_is_told_as_it_was_taken(tmp_path):
    write_wav(tmp_path / "a.wav", n_samples=48000)
    told = [
        restore_file(tmp_path / "a.wav", tmp_path / f"{strength}.wav", strength=strength).stages["film"]
        for strength in (0.0, 0.5, 1.0)
    ]
    assert told[0] is None
    assert told[1] == pytest.approx(told[2] - 6.02, abs=0.02)


def test_a_sample_rate_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="sample rate is '48000' Hz"):
        resound.restore(np.zeros(10), "48000")

"""resound-native gives what Python gives, and says in a line what it cannot do."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile

from .conftest import in_python, noise
from .graphs import changed, states_of, write_counter, write_mixer, write_root

SAME = 1e-5  # both run the same graph; what differs is how a sample is rounded


def write(path, sound, rate, subtype="FLOAT"):
    soundfile.write(path, sound.T, rate, subtype=subtype, format="WAV")
    return path


def read(path):
    """Return ``(channel, time)``."""
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


@pytest.mark.parametrize(
    ("name", "n_channels", "subtype"),
    [
        ("one", 1, "FLOAT"),
        ("one", 2, "PCM_16"),
        ("one", 3, "PCM_24"),
        ("two to one", 2, "PCM_16"),
    ],
)
def test_a_file_is_restored_as_python_does(name, n_channels, subtype, exported, program, tmp_path):
    model = exported(name)
    rate = 8000
    source = write(tmp_path / "in.wav", noise(n_channels, 20_011), rate, subtype)
    ended = program(source, tmp_path / "out.wav", "--model", model)
    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")
    wanted = in_python(model, read(source))
    about = soundfile.info(tmp_path / "out.wav")
    assert (about.channels, about.frames, about.samplerate, about.subtype) == (len(wanted), 20_011, rate, subtype)
    step = {"FLOAT": 0, "PCM_16": 2**-15, "PCM_24": 2**-23}[subtype]
    assert np.abs(read(tmp_path / "out.wav") - wanted).max() <= SAME + step / 2
    assert np.abs(wanted).max() > 50 * SAME
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.wav"]


def test_a_model_of_two_channels_takes_both_at_once(program, tmp_path):
    model, sound = write_mixer(tmp_path / "swap.onnx", [[0.0, 1.0], [0.5, 0.0]]), noise(2, 1001)
    source = write(tmp_path / "in.wav", sound, 8000)
    assert program(source, tmp_path / "out.wav", "--model", model).status == 0
    np.testing.assert_array_equal(read(tmp_path / "out.wav"), [sound[1], sound[0] / 2])
    assert program(source, tmp_path / "half.wav", "--model", model, "--strength", 0.5).status == 0
    wanted = [(sound[0] + sound[1]) / 2, 0.5 * sound[1] + 0.25 * sound[0]]
    np.testing.assert_allclose(read(tmp_path / "half.wav"), wanted, atol=1e-7)


def test_states_of_all_types_are_handed_on(program, tmp_path):
    model, sound = write_counter(tmp_path / "counter.onnx"), noise(2, 39)
    source = write(tmp_path / "in.wav", sound, 8000)
    assert program(source, tmp_path / "out.wav", "--model", model).status == 0
    frame = np.arange(39) // 4
    np.testing.assert_allclose(read(tmp_path / "out.wav"), sound * (3 + frame) / 2.0 ** (frame + 1), rtol=1e-6)
    np.testing.assert_array_equal(read(tmp_path / "out.wav"), in_python(model, sound))


@pytest.mark.parametrize("n_samples", [0, 1, 79, 80, 81, 1000])
def test_a_file_of_any_length_keeps_it(n_samples, exported, program, tmp_path):
    source = write(tmp_path / "in.wav", noise(1, n_samples), 8000)
    assert program(source, tmp_path / "out.wav", "--model", exported("one")).status == 0
    assert read(tmp_path / "out.wav").shape[1] == n_samples
    if n_samples:
        np.testing.assert_allclose(read(tmp_path / "out.wav"), in_python(exported("one"), read(source)), atol=SAME)


def test_strength_is_the_way_from_what_was_heard_to_what_was_restored(exported, program, tmp_path):
    source = write(tmp_path / "in.wav", noise(2, 9000), 8000)
    made = {}
    for strength in (0, 0.25, 1):
        target = tmp_path / f"{strength}.wav"
        assert program(source, target, "--model", exported("one"), f"--strength={strength}").status == 0
        made[strength] = read(target)
    np.testing.assert_array_equal(made[0], read(source))
    np.testing.assert_allclose(made[0.25], 0.75 * made[0] + 0.25 * made[1], atol=1e-7)


def test_facts_and_times_are_told(exported, program, tmp_path):
    ended = program("--info", RESOUND_MODEL=str(exported("two to one")))
    assert (ended.status, ended.stderr) == (0, "")
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in ended.stdout.splitlines())
    assert rows["sample rate"] == "8000 Hz"
    assert rows["frame"] == "72 samples, 9 ms"
    assert (rows["channels in"], rows["channels out"], rows["licence"]) == ("2", "1", "not stated")
    source = write(tmp_path / "in.wav", noise(1, 8000), 8000)
    ended = program(source, tmp_path / "out.wav", "--model", exported("one"), "--time")
    assert re.fullmatch(
        r"a frame of 10 ms takes [\d.]+ ms \(median; 95 %: [\d.]+, 99 %: [\d.]+\); [\d.]+ x real time\n", ended.stdout
    )


def test_what_is_no_sound_is_silenced_and_told(exported, program, tmp_path):
    sound = noise(1, 8000)
    sound[0, 4000], sound[0, 6000] = np.nan, np.inf
    source = write(tmp_path / "in.wav", sound, 8000)
    for strength in (1, 0.5):
        ended = program(source, tmp_path / "out.wav", "--model", exported("one"), "--strength", strength, "--overwrite")
        assert "2 frames held samples that are no sound" in ended.stderr
        assert np.isfinite(read(tmp_path / "out.wav")).all()


def test_a_network_that_loses_itself_begins_anew(program, tmp_path):
    sound = np.repeat([[1.0, 3.0, -9.0, 4.0, 5.0]], 4, axis=1).astype(np.float32)
    source = write(tmp_path / "in.wav", sound, 8000)
    ended = program(source, tmp_path / "out.wav", "--model", write_root(tmp_path / "root.onnx"))
    assert "lost itself 1 times" in ended.stderr
    np.testing.assert_array_equal(read(tmp_path / "out.wav")[0, ::4], [1.0, 2.0, 0.0, 2.0, 3.0])


def test_what_pcm_cannot_hold_is_clipped_and_told(program, tmp_path):
    model = write_root(tmp_path / "root.onnx")
    source = write(tmp_path / "in.wav", np.full((1, 20), 0.5, np.float32), 8000, "PCM_16")
    ended = program(source, tmp_path / "out.wav", "--model", model)
    assert "16 samples were above full scale" in ended.stderr
    assert read(tmp_path / "out.wav").max() == 32767 / 32768


BAD_MODELS = {
    "missing": "no such model file",
    "a folder": "is no file",
    "empty": "not an ONNX model that can be run",
    "no model": "not an ONNX model that can be run",
    "truncated": "not an ONNX model that can be run",
    "for whole recordings": "is for whole recordings; to stream, export the network with --streaming",
    "not ours": "none that 'resound export' wrote",
    "of a later version": 'of version "2" of the format',
    "without a rate": 'metadata "sample_rate" is missing',
    "of a wrong rate": 'metadata "sample_rate" is "0"',
    "without a latency": 'metadata "latency_samples" is missing',
    "without states": "metadata 'states' cannot be read",
    "with a broken state": "metadata 'states' cannot be read",
    "with a state of another shape": "metadata 'states' is not of this graph",
    "with a state of another type": "metadata 'states' is not of this graph",
    "with a state too few": "metadata 'states' is not of this graph",
    "of another frame": "frames are not what its metadata says",
    "of other channels": "frames are not what its metadata says",
}


def bad_model(kind, exported, folder):
    good, path = exported("one"), folder / "bad.onnx"
    states, whole = states_of(good), good.read_bytes()
    if kind == "a folder":
        path.mkdir()
    elif kind in ("empty", "no model", "truncated"):
        path.write_bytes({"empty": b"", "no model": b"RIFF" * 999, "truncated": whole[: len(whole) // 2]}[kind])
    elif kind != "missing":
        facts = {
            "for whole recordings": {"form": "offline"},
            "not ours": {"resound_onnx": None},
            "of a later version": {"resound_onnx": "2"},
            "without a rate": {"sample_rate": None},
            "of a wrong rate": {"sample_rate": "0"},
            "without a latency": {"latency_samples": None},
            "without states": {"states": None},
            "with a broken state": {"states": states.replace(" float32 ", " ", 1)},
            "with a state of another shape": {"states": states.replace("1x1x", "1x2x", 1)},
            "with a state of another type": {"states": states.replace(" float32 ", " float64 ", 1)},
            "with a state too few": {"states": states.rpartition("\n")[0]},
            "of another frame": {"frame_samples": "120"},
            "of other channels": {"n_channels": "2"},
        }
        changed(good, path, **facts[kind])
    return path


def failure(ended, status=1):
    """Return the one line in which a run failed."""
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (status, "", 1), ended
    assert ended.stderr.startswith("resound-native: ")
    return ended.stderr


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_a_bad_model_is_told_in_a_line(kind, exported, program, tmp_path):
    model = bad_model(kind, exported, tmp_path)
    said = failure(program("--info", "--model", model))
    assert f"{model}: " in said and BAD_MODELS[kind] in said


def test_a_missing_library_is_told_in_a_line(exported, program, built, tmp_path):
    model = exported("one")
    for path, why in [
        (tmp_path / "gone.so", "onnxruntime cannot be loaded"),
        (tmp_path, "onnxruntime cannot be loaded"),
        (built / "libresound.so", "is a library, but not onnxruntime"),
    ]:
        assert why in failure(program("--info", "--model", model, "--library", path))
        assert why in failure(program("--info", "--model", model, RESOUND_ONNXRUNTIME=str(path)))


def test_a_bad_recording_is_told_in_a_line_and_leaves_nothing(exported, program, tmp_path):
    one, two = exported("one"), exported("two to one")
    separates = write_mixer(tmp_path / "two_voices.onnx", [[1.0], [0.5]])
    good, target = write(tmp_path / "good.wav", noise(1, 800), 8000), tmp_path / "out.wav"
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    cases = [
        (write(tmp_path / "rate.wav", noise(1, 800), 16000), one, 'has 16000 Hz, the model "band_rnn" 8000 Hz'),
        (write(tmp_path / "three.wav", noise(3, 800), 8000), two, 'has 3 channels, the model "timbre" takes 2'),
        (good, separates, "separates into 2 voices"),
        (write(tmp_path / "byte.wav", noise(1, 800), 8000, "PCM_U8"), one, "is 8-bit PCM; convert it"),
        (write(tmp_path / "double.wav", noise(1, 800), 8000, "DOUBLE"), one, "is 64-bit float; convert it"),
        (text, one, "is no WAV file"),
        (tmp_path / "gone.wav", one, "cannot be read"),
        (tmp_path, one, "is no file"),
    ]
    before = sorted(tmp_path.iterdir())
    for source, model, why in cases:
        said = failure(program(source, target, "--model", model))
        assert f"{source}: " in said and why in said
        assert sorted(tmp_path.iterdir()) == before


def test_an_output_that_cannot_be_is_told_in_a_line(exported, program, tmp_path):
    source, there = write(tmp_path / "in.wav", noise(1, 800), 8000), tmp_path / "there.wav"
    there.write_text("keep me")
    content = source.read_bytes()
    for target, why in [
        (there, "exists already; use --overwrite"),
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "such" / "out.wav", "cannot be written"),
    ]:
        assert why in failure(program(source, target, "--model", exported("one")))
    assert "never replaced" in failure(program(source, source, "--model", exported("one"), "--overwrite"))
    assert (there.read_text(), source.read_bytes()) == ("keep me", content)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_wrong_command_line_is_a_line_and_status_2(program):
    assert "which model?" in failure(program("a.wav", "b.wav"), 2)
    assert "--loud: no such option" in failure(program("a.wav", "b.wav", "--loud"), 2)
    assert "--strength is 2" in failure(program("a.wav", "b.wav", "--model", "m", "--strength", 2), 2)
    ended = program("--help")
    assert (ended.status, ended.stderr) == (0, "") and "--strength" in ended.stdout


def test_a_file_that_is_cut_off_is_restored_as_far_as_it_goes(exported, program, tmp_path):
    source = write(tmp_path / "in.wav", noise(1, 8000), 8000, "PCM_16")
    source.write_bytes(source.read_bytes()[:-7001])
    ended = program(source, tmp_path / "out.wav", "--model", exported("one"))
    assert ended.status == 0 and "is cut off; the 4499 samples that are there were restored" in ended.stderr
    assert soundfile.info(tmp_path / "out.wav").frames == 4499

"""What repairs hears the denoised sound and what came in, at the same time and in every channel."""

import json

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

import resound
from conftest import files_below, hiss, read_sound, write_wav
from inference.test_onnx import write_graph
from resound.errors import ConfigError, ModelError
from resound.inference.offline import restore_blocks
from resound.inference.pipeline import reports_of, restore_file, restored
from resound.inference.repair import open_repairer
from signals import speech_like

RATE = 48_000
HALVES = np.array([[[0.75], [0.25]]])  # of the denoised sound and of the noisy one
FACTS = {"sample_rate": str(RATE), "context_samples": "480", "name": "halves", "n_sources": "1"}


@pytest.fixture
def halves(tmp_path):
    """A network that gives three quarters of the denoised sound and a quarter of the noisy one."""
    return write_graph(tmp_path / "halves.onnx", HALVES, metadata=FACTS, pads=(0, 0))


class Quieter:
    """Takes most of everything, chunk by chunk."""

    name, sample_rate, context = "quieter", RATE, 100

    def process(self, block):
        return 0.2 * block


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_it_hears_both_at_the_same_time(halves, n_channels):
    sound = hiss(50 * RATE, n_channels, seed=1)  # three chunks
    blocks = [sound[:, start : start + 70_001] for start in range(0, sound.shape[1], 70_001)]
    repairer = open_repairer(halves)
    reports = reports_of([Quieter()], repairer)
    pairs = list(restored(blocks, [Quieter()], sample_rate=RATE, then=repairer, reports=reports))
    heard, made = (np.concatenate(each, axis=1) for each in zip(*pairs, strict=True))
    np.testing.assert_array_equal(heard, sound)
    np.testing.assert_allclose(made, (0.75 * 0.2 + 0.25) * sound, atol=1e-6)
    assert [report.name for report in reports] == ["quieter", "halves"]
    assert reports[0].removed_db == pytest.approx(20 * np.log10(0.8), abs=0.01)
    assert reports[1].removed_db == pytest.approx(20 * np.log10(1.0), abs=0.01)  # 0.2 became 0.4: as much was put in


def test_another_rate_and_half_the_strength(halves):
    sound = speech_like(2, 16_000)
    alone = resound.restore(sound, 16_000, model="classic")
    made = resound.restore(sound, 16_000, model="classic", strength=0.5, then=halves)
    expected = sound + 0.5 * (0.75 * alone + 0.25 * sound - sound)
    np.testing.assert_allclose(made[1600:-1600], expected[1600:-1600], atol=2e-3 * np.abs(sound).max())


def test_the_sidecar_says_that_it_invents(tmp_path, halves):
    write_wav(tmp_path / "a.wav", hiss(RATE, 2), rate=RATE)
    report = restore_file(tmp_path / "a.wav", model="classic", then=halves)
    told = json.loads((tmp_path / "a_restored.wav.json").read_text())
    assert (told["then"], told["is_generative"], told["parameters"]["then"]) == ("halves", True, str(halves))
    assert told["then_weights_md5"] == report.then_weights_md5 is not None
    assert "halves" not in told["stages"] and told["then_changed_db"] == report.then_changed_db < 0
    plain = restore_file(tmp_path / "a.wav", tmp_path / "b.wav", model="classic")
    assert (plain.then, plain.is_generative) == (None, False)


def test_a_recording_and_an_array_are_repaired_alike(tmp_path, halves):
    write_wav(tmp_path / "a.wav", hiss(RATE), rate=RATE, subtype="FLOAT")
    restore_file(tmp_path / "a.wav", model="classic", then=str(halves))
    sound = read_sound(tmp_path / "a.wav")
    made = resound.restore(sound, RATE, model="classic", then=halves)
    np.testing.assert_allclose(read_sound(tmp_path / "a_restored.wav"), made, atol=1e-6)


def test_a_trained_network_repairs_by_its_folder(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.checkpoint import save_model
    from resound.models import build

    torch.manual_seed(0)
    sizes = {"sample_rate": 8000, "widths": [8, 8, 8], "strides": [2, 4, 4], "kernel": 5, "gru_layers": 1}
    save_model(tmp_path / "timbre", build("timbre", **sizes))
    noisy = speech_like(2, 8000)
    denoised = resound.restore(noisy, 8000, model="classic")
    with torch.inference_mode():
        pair = torch.from_numpy(np.stack([denoised, noisy])[None].astype(np.float32))
        expected = resound.load(tmp_path / "timbre")(pair)[0, 0].numpy()
    made = resound.restore(noisy, 8000, model="classic", then=tmp_path / "timbre")
    np.testing.assert_allclose(made, expected, atol=1e-5)
    from resound.export.export import export

    export(tmp_path / "timbre", tmp_path / "timbre.onnx", is_streaming=False)
    made = resound.restore(noisy, 8000, model="classic", then=tmp_path / "timbre.onnx")
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_a_streaming_form_repairs_as_the_network_does_stereo_too(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.checkpoint import save_model
    from resound.export.export import export
    from resound.models import build

    torch.manual_seed(0)
    sizes = {"sample_rate": 8000, "hop": 80, "n_narrow": 12, "n_bands": 24, "channels": [8, 8], "band_hidden": 4}
    save_model(tmp_path / "net", build("band_rnn", **sizes, n_channels=2))
    for is_any_length in (False, True):
        file = tmp_path / f"{is_any_length}.onnx"
        export(tmp_path / "net", file, is_streaming=True, is_any_length=is_any_length)
        noisy = np.stack([speech_like(2, 8000), speech_like(2, 8000)[::-1]])
        denoised = 0.5 * noisy
        with torch.inference_mode():
            pairs = torch.from_numpy(np.stack([denoised, noisy], axis=1).astype(np.float32))
            expected = resound.load(tmp_path / "net")(pairs)[:, 0].numpy()
        np.testing.assert_allclose(resound.repair(denoised, noisy, 8000, file), expected, atol=1e-5)
        one = resound.repair(denoised[0].astype(np.float32), noisy[0], 8000, file)
        assert (one.shape, one.dtype) == ((16_000,), np.float32)
        np.testing.assert_allclose(one, expected[0], atol=1e-5)
        blocks = [noisy[:, :5000], noisy[:, 5000:5001], noisy[:, 5001:]]
        pieces = restored(blocks, [Halved()], sample_rate=8000, then=open_repairer(file))
        np.testing.assert_allclose(np.concatenate([made for _, made in pieces], axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_at_another_rate_both_sides_stay_in_time(tmp_path, rate):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
    from resound.checkpoint import save_model
    from resound.export.export import export
    from resound.models import build

    torch.manual_seed(0)
    sizes = {"sample_rate": 8000, "hop": 80, "n_narrow": 12, "n_bands": 24, "channels": [8, 8], "band_hidden": 4}
    network = build("band_rnn", **sizes, n_channels=2)
    with torch.no_grad():  # a quarter of the noisy sound comes to the denoised one, and little else
        network.leave.bias[2 * 3 : 4 * 3 : 2] = torch.tensor([0.0, 0.25, 0.0])
        network.leave.weight.mul_(0.01)
    save_model(tmp_path / "net", network)
    export(tmp_path / "net", tmp_path / "net.onnx", is_streaming=True, is_any_length=True)
    noisy = np.stack([speech_like(1, rate, seed) for seed in (1, 2)])
    noisy = sosfilt(butter(8, 2500, fs=rate, output="sos"), noisy)
    blocks = np.split(noisy, [1001, 1002, 7000], axis=1)
    pieces = restored(blocks, [Halved()], sample_rate=rate, then=open_repairer(tmp_path / "net.onnx"))
    made = np.concatenate([made for _, made in pieces], axis=1)
    assert made.shape == noisy.shape
    np.testing.assert_allclose(made, 0.75 * noisy, atol=0.02 * np.abs(noisy).max())


class Halved(Quieter):
    """Takes half of everything."""

    sample_rate = 8000

    def process(self, block):
        return 0.5 * block


def test_what_is_repaired_has_both_sides_of_one_recording(halves):
    sound = speech_like(1, RATE)
    np.testing.assert_allclose(resound.repair(0.2 * sound, sound, RATE, halves), (0.75 * 0.2 + 0.25) * sound, atol=1e-6)
    assert resound.repair(sound[:0], sound[:0], RATE, halves).shape == (0,)
    with pytest.raises(ConfigError, match=r"denoised has shape \(47999,\), noisy \(48000,\); give both sides"):
        resound.repair(sound[1:], sound, RATE, halves)
    with pytest.raises(ModelError, match="voice: repairs nothing; give timbre"):
        resound.repair(sound, sound, RATE, "voice")


def test_a_stage_sees_nothing_of_it():
    sound = hiss(RATE)
    (made,) = [after for _, after in restored([sound], [Quieter()], sample_rate=RATE)]
    (alone,) = restore_blocks([sound], Quieter(), sample_rate=RATE)
    np.testing.assert_array_equal(made, alone)


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("gone.onnx", "gone.onnx: no such model file"),
        (
            "mono.onnx",
            "mono.onnx: repairs nothing; give timbre, or a network that takes a denoiser's output and the noisy sound",
        ),
        ("film", "film: repairs nothing"),
        ("gone", "gone: no such model"),
    ],
)
def test_what_repairs_nothing_is_one_line(tmp_path, monkeypatch, resound, then, told):
    monkeypatch.chdir(tmp_path)
    write_graph(tmp_path / "mono.onnx")
    write_wav(tmp_path / "a.wav", hiss(800))
    before = files_below(tmp_path)
    ended = resound("restore", "a.wav", "--then", then)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert told in ended.stderr
    assert files_below(tmp_path) == before

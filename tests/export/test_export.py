"""What an exported file says of itself, and that nothing is left where it would not be the network."""

import errno

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("onnxscript", reason="needs the extra: pip install '.[train]'")

import onnx  # noqa: E402

import resound.export.export as exporting  # noqa: E402
from conftest import hiss, write_wav  # noqa: E402
from contracts.test_networks import BANDS, TINY  # noqa: E402
from resound.checkpoint import load_model, save_model  # noqa: E402
from resound.errors import ConfigError, InputError, ModelError, OutputError  # noqa: E402
from resound.export.export import export  # noqa: E402
from resound.export.graph import streaming_graph  # noqa: E402
from resound.inference.frames import GraphFrames  # noqa: E402
from resound.inference.graph_file import StateTensor  # noqa: E402
from resound.inference.models import find_model  # noqa: E402
from resound.inference.network import NetworkRestorer  # noqa: E402
from resound.models import build  # noqa: E402


def test_the_file_alone_is_enough_to_run_it(tiny_model, tiny_stream):
    frames = GraphFrames(tiny_stream)
    assert (frames.name, frames.sample_rate, frames.n_channels, frames.n_sources) == ("tiny", 8000, 1, 1)
    assert (frames.frame_samples, frames.latency_samples) == (80, 80)  # two hops of 5 ms; a window and one frame ahead
    assert (frames.file.facts["licence"], frames.file.facts["source"]) == ("MIT", "these tests")
    assert frames.file.facts["weights_sha256"] == exporting.read_about(tiny_model)["sha256"]
    network, state = load_model(tiny_model), None
    state = network.init_state(1)
    stream, noise = frames.begin(), np.random.default_rng(0).standard_normal((40, 1, 80)).astype(np.float32) / 10
    for frame in noise:
        with torch.inference_mode():
            expected, state = network.step(torch.from_numpy(frame[None]), state)
        np.testing.assert_allclose(stream.step(frame), expected[0].numpy(), atol=1e-6)


def test_streams_of_one_file_do_not_hear_each_other(tiny_stream):
    frames = GraphFrames(tiny_stream)
    noise = np.random.default_rng(0).standard_normal((20, 1, 80)).astype(np.float32) / 10
    alone = frames.begin()
    expected = [alone.step(frame).copy() for frame in noise]
    first, second = frames.begin(), frames.begin()
    for frame, wanted in zip(noise, expected, strict=True):
        second.step(np.ones((1, 80), np.float32))
        np.testing.assert_array_equal(first.step(frame), wanted)


def test_a_frame_may_be_several_hops(tiny_model, tmp_path):
    made = export(tiny_model, tmp_path / "long.onnx", is_streaming=True, frame_samples=120, is_verified=False)
    assert GraphFrames(made.path).frame_samples == 120


@pytest.mark.parametrize(
    "state", [StateTensor("a", "b", (1, 2), "float32", 0.0), StateTensor("a", "b", (), "int64", -3.0)]
)
def test_states_are_lines_of_text(state):
    assert StateTensor.parse(state.line()) == state


@pytest.mark.parametrize(
    "line",
    [
        "a b float32 0",
        "a b float16 0 1",
        "a b float32 0 1x0",
        "a b float32 zero 1",
        "a b int64 0 99999x99999",
        "a b float32 nan 1",
        "a b int64 1e300 1",
    ],
)
def test_broken_lines_of_state_are_refused(line):
    with pytest.raises(ValueError):
        StateTensor.parse(line)


def test_a_graph_that_is_another_network_is_not_left(tiny_model, tmp_path, monkeypatch):
    torch.manual_seed(1)
    other = build("band_rnn", **BANDS)
    monkeypatch.setattr(exporting, "streaming_graph", lambda network, frame, **_: streaming_graph(other, frame))
    with pytest.raises(ModelError, match=r"differs from torch by .* so it was not left"):
        export(tiny_model, tmp_path / "x.onnx", is_streaming=True)
    assert not list(tmp_path.iterdir())


def test_weights_in_fewer_bits_are_smaller_and_tell_what_they_cost(tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "model", build("timbre", n_channels=1, widths=[64, 64, 96, 96]))
    whole = export(tmp_path / "model", tmp_path / "whole.onnx", is_verified=False)
    for weights, share, least_db in (("float16", 0.7, 50), ("int8", 0.9, 15)):
        less = export(tmp_path / "model", tmp_path / "less.onnx", weights=weights, is_verified=False, overwrite=True)
        assert less.size_mb < share * whole.size_mb
        assert less.path.stat().st_size / 1e6 == pytest.approx(less.size_mb)
        assert less.quality_db > least_db
        assert GraphFrames(less.path).file.facts["weights"] == weights
    assert {path.name for path in tmp_path.iterdir()} == {"model", "whole.onnx", "less.onnx"}


def test_bits_that_win_nothing_are_refused(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "with_weights", lambda graph, weights: graph)
    slow = exporting.Timing(1.0, 100.0)
    monkeypatch.setattr(exporting, "time_file", lambda path: slow)
    with pytest.raises(ModelError, match=r"neither smaller .* nor faster"):
        export(tiny_model, tmp_path / "x.onnx", is_streaming=True, weights="int8", is_verified=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("wave_u_net", "convolutions are centred"),
        ("tf_gridnet", "LSTMs run over time both ways"),
        ("demucs both ways", "LSTM runs over time both ways"),
        ("demucs whole", "scale is that of the whole recording"),
        ("conv_tasnet", r"dilated convolutions are centred.*\(causal=false\)"),
        ("gatewave", "GRU runs over time both ways"),
        ("two_stage_unet", "convolutions over frames are centred"),
    ],
)
def test_what_cannot_stream_says_which_part(key, part, tmp_path):
    name, config = TINY[key]
    save_model(tmp_path / "model", build(name, **config))
    with pytest.raises(ModelError, match=rf"cannot stream, for its {part}|cannot stream, for its.*{part}"):
        export(tmp_path / "model", tmp_path / "x.onnx", is_streaming=True)


def test_wrong_frames_and_places_are_told(tiny_model, tmp_path):
    for frame in (50, 0):
        with pytest.raises(ModelError, match=f"a frame of {frame} samples is no whole number of its hops of 40"):
            export(tiny_model, tmp_path / "x.onnx", is_streaming=True, frame_samples=frame)
    with pytest.raises(ConfigError, match="frames are of the streaming form"):
        export(tiny_model, tmp_path / "x.onnx", is_streaming=False, frame_samples=80)
    (tmp_path / "taken.onnx").write_text("mine")
    with pytest.raises(OutputError, match=r"taken.onnx: exists already"):
        export(tiny_model, tmp_path / "taken.onnx", is_verified=False)
    assert (tmp_path / "taken.onnx").read_text() == "mine"


def test_the_command_tells_what_it_made(resound, tiny_model, tmp_path):
    recording = write_wav(tmp_path / "a.wav", rate=16000)
    ended = resound("export", tiny_model, "-o", tmp_path / "x.onnx", "--with", recording, "--benchmark")
    assert ended.status == 0
    first, second, third = ended.stdout.splitlines()
    assert first.endswith("8,000 Hz, frames of 80 samples (10 ms), 10 ms late")
    assert "differs from torch by" in second and "10.2 s compared" in second
    assert "a frame of 10 ms takes" in third and "x real time on one thread" in third


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x.bin",), "is called .onnx; give -o x.onnx"),
        (("x.onnx", "--weights", "int4"), "weights is 'int4' (did you mean 'int8'?)"),
        (("nowhere/x.onnx/y.onnx", "--no-verify"), None),
    ],
)
def test_wrong_words_are_one_line(resound, tiny_model, tmp_path, words, message):
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "x.onnx").write_text("a file")
    ended = resound("export", tiny_model, "-o", tmp_path / words[0], *words[1:])
    assert ended.status == 1
    assert len(ended.stderr.splitlines()[-1:]) == 1 and (message or "cannot make this folder") in ended.stderr


def test_the_offline_form_restores_recordings(tiny_model, tmp_path):
    made = export(tiny_model, tmp_path / "x.onnx", is_streaming=False, is_verified=False)
    assert (made.form, made.frame_samples, made.latency_samples) == ("offline", None, 0)
    onnx.checker.check_model(onnx.load(made.path))
    (stage,), sound = find_model(made.path).stages(8000), hiss(9001, 2)
    assert stage.grid == 40
    np.testing.assert_allclose(stage.process(sound), NetworkRestorer(tiny_model).process(sound), atol=1e-6)


def test_what_runs_before_a_model_is_told_by_its_file(tmp_path):
    name, config = TINY["band_rnn"]
    save_model(tmp_path / "model", build(name, **config), after={"order": ["declick"]})
    made = export(tmp_path / "model", tmp_path / "x.onnx", is_verified=False)
    for model in (tmp_path / "model", made.path):
        assert next(stage.name for stage in find_model(model).stages(8000)) == "declick"


def test_a_recording_is_looked_at_before_any_work(tiny_model, tmp_path):
    told = []
    with pytest.raises(InputError, match="does not exist"):
        export(tiny_model, tmp_path / "x.onnx", recording=tmp_path / "a.wav", tell=told.append)
    with pytest.raises(ConfigError, match="nothing is compared"):  # nor is a model looked for
        export(tmp_path / "none", tmp_path / "x.onnx", recording=tmp_path / "a.wav", is_verified=False)
    assert not told


def test_a_full_disk_is_told_with_the_name_that_was_asked_for(tiny_model, tmp_path, monkeypatch):
    def full(graph, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onnx.save", full)
    with pytest.raises(OutputError, match=rf"^{tmp_path}/x.onnx: disk full"):
        export(tiny_model, tmp_path / "x.onnx")
    assert not list(tmp_path.glob("*x*"))


def test_a_stream_that_keeps_no_channels_restores_no_recording(resound, tmp_path):
    name, config = TINY["timbre"]
    save_model(tmp_path / "model", build(name, **config))  # the denoised and the noisy sound in, one out
    made = export(tmp_path / "model", tmp_path / "x.onnx", is_verified=False)
    message = "repairs what another model makes; use it with 'resound restore --model voice --then"
    for n_channels in (1, 2):
        recording = write_wav(tmp_path / "a.wav", hiss(8000, n_channels))
        ended = resound("restore", recording, "--model", made.path, "--overwrite")
        assert (ended.status, len(ended.stderr.splitlines())) == (1, 1)
        assert message in ended.stderr
    assert not list(tmp_path.glob("a_restored*"))


@pytest.mark.slow
@pytest.mark.parametrize("key", ["band_rnn", "conv_tasnet causal", "timbre", "gatewave causal"])
def test_frames_of_any_length_are_the_network_at_every_length(key, tmp_path):
    name, config = TINY[key]
    torch.manual_seed(0)
    save_model(tmp_path / "model", build(name, **config))
    made = export(tmp_path / "model", tmp_path / "any.onnx", is_any_length=True)
    assert made.agreement.error < 5e-5 and made.agreement.seconds > 15  # one by one, and many at once
    one, many = GraphFrames(made.path), GraphFrames(made.path, at_once_seconds=0.25)
    n_frames = many.frame_samples // one.frame_samples
    assert n_frames > 1
    noise = np.random.default_rng(1).standard_normal((one.n_channels, many.frame_samples)).astype(np.float32) / 10
    stream = one.begin()
    in_turn = [stream.step(frame).copy() for frame in np.split(noise, n_frames, axis=1)]
    np.testing.assert_allclose(many.begin().step(noise), np.concatenate(in_turn, axis=1), atol=1e-5)


def test_a_graph_of_one_length_is_not_left_as_one_of_any(tmp_path):
    name, config = TINY["demucs"]
    save_model(tmp_path / "model", build(name, **config))
    with pytest.raises(ModelError, match="demucs: its graph takes frames of one length; leave --any-length out"):
        export(tmp_path / "model", tmp_path / "any.onnx", is_any_length=True, is_verified=False)
    assert not list(tmp_path.glob("any*"))


def test_recordings_take_many_frames_at_once(tiny_model, tiny_stream, tmp_path):
    made = export(tiny_model, tmp_path / "any.onnx", is_any_length=True, is_verified=False)
    quick, usual = find_model(made.path).network, find_model(tiny_stream).network
    assert quick.grid == 50 * usual.grid
    sound = np.random.default_rng(2).standard_normal((2, 30_011)) / 10
    np.testing.assert_allclose(quick.process(sound), usual.process(sound), atol=1e-5)

"""Networks as ONNX graphs: run chunk by chunk they give what the whole would, and a bad file is one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import scipy.signal
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from conftest import files_below, hiss, read_sound, write_wav
from resound.classic.chain import ClassicConfig
from resound.errors import ConfigError, ModelError
from resound.inference.models import LimitedReduction, find_model, is_heeded
from resound.inference.offline import restore_blocks
from resound.inference.onnx import OnnxRestorer
from resound.inference.pipeline import restore_file

RATE = 8000
TAPS = (np.random.default_rng(3).standard_normal(31) / 6).astype(np.float32)
MONO = TAPS[None, None]  # (out, in, time)
GOOD = {"sample_rate": str(RATE), "context_samples": "15", "name": "fir"}


def write_graph(
    path: Path,
    weights: NDArray = MONO,
    *,
    metadata: dict[str, str] | None = None,
    pads: tuple[int, int] = (15, 15),
    time: str | int = "time",
    channels: str | int | None = None,
) -> Path:
    """Write a graph of one convolution ``(source, channel, tap)``, by default 31 taps wide and as long as its input."""
    n_out, n_in, _ = weights.shape
    graph = helper.make_graph(
        [helper.make_node("Conv", ["sound", "weights"], ["restored"], pads=list(pads))],
        "fir",
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["batch", channels or n_in, time])],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, ["batch", n_out, None])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, GOOD if metadata is None else metadata)
    onnx.save(model, path)
    return path


def write_node(
    path: Path, node: onnx.NodeProto, shape_in: list, shape_out: list, kind: int = TensorProto.FLOAT
) -> Path:
    """Write a graph of one node from ``sound`` to ``restored``."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("sound", kind, shape_in)],
        [helper.make_tensor_value_info("restored", kind, shape_out)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, GOOD)
    onnx.save(model, path)
    return path


def convolved(sound: NDArray, taps: NDArray = TAPS) -> NDArray:
    """Return what the graph does, by someone else's maths: a graph correlates, so the taps are turned round."""
    return scipy.signal.convolve(sound, taps[::-1].astype(np.float64)[None], mode="same")


def chunked(sound: NDArray, restorer, *, rate: int = RATE) -> NDArray:
    """Return the sound restored in chunks of a tenth of a second."""
    blocks = [sound[:, start : start + 777] for start in range(0, sound.shape[1], 777)]
    out = restore_blocks(blocks, restorer, sample_rate=rate, chunk_seconds=0.1, overlap_seconds=0.01)
    return np.concatenate(list(out), axis=1)


@pytest.fixture
def mono(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "mono.onnx")


@pytest.mark.parametrize("n_channels", [1, 2, 5])
@pytest.mark.parametrize("n_samples", [1, 20, 800, 5003])
def test_a_mono_graph_runs_on_each_channel_as_on_the_whole(mono, n_samples, n_channels):
    sound = hiss(n_samples, n_channels)
    np.testing.assert_allclose(chunked(sound, OnnxRestorer(mono)), convolved(sound), atol=1e-7)


def test_a_stereo_graph_sees_both_channels(tmp_path):
    weights = np.zeros((2, 2, 31))
    weights[0, 0, 15] = weights[1, 1, 15] = 0.5
    weights[0, 1, 15] = 0.25  # left hears a quarter of right
    restorer = OnnxRestorer(write_graph(tmp_path / "stereo.onnx", weights))
    left, right = sound = hiss(5003, 2)
    np.testing.assert_allclose(chunked(sound, restorer), [left / 2 + right / 4, right / 2], atol=1e-7)


def test_the_latency_a_graph_states_is_taken_out(tmp_path):
    late = {**GOOD, "context_samples": "30", "latency_samples": "15"}
    path = write_graph(tmp_path / "late.onnx", metadata=late, pads=(30, 0))  # causal: sees the past only
    sound = hiss(5003, 2)
    np.testing.assert_allclose(chunked(sound, OnnxRestorer(path)), convolved(sound), atol=1e-7)


def test_a_graph_at_another_rate_leaves_what_it_cannot_hear(tmp_path):
    mute = write_graph(tmp_path / "mute.onnx", np.zeros((1, 1, 31)))
    time = np.arange(48000) / 48000
    low, high = np.sin(2 * np.pi * 1000 * time)[None], np.sin(2 * np.pi * 9000 * time)[None]
    out = chunked(low + high, OnnxRestorer(mute), rate=48000)
    np.testing.assert_allclose(out[:, 2000:-2000], high[:, 2000:-2000], atol=1e-3)


def test_the_largest_reduction_mixes_in_what_was_there(mono):
    sound = hiss(5003)
    limited = find_model(mono, max_reduction_db=6.0).stages(RATE)[0]
    assert isinstance(limited, LimitedReduction)
    kept = 10 ** (-6 / 20)
    np.testing.assert_allclose(chunked(sound, limited), kept * sound + (1 - kept) * convolved(sound), atol=1e-7)


def test_with_a_largest_reduction_nothing_falls_by_more(tmp_path):
    mute = find_model(write_graph(tmp_path / "mute.onnx", np.zeros((1, 1, 31))), max_reduction_db=12.0).stages(RATE)[0]
    sound = hiss(5003)
    fall_db = 10 * np.log10(np.mean(chunked(sound, mute) ** 2) / np.mean(sound**2))
    assert fall_db == pytest.approx(-12.0, abs=1e-6)


def test_a_file_restored_by_a_graph_names_it_in_its_log(tmp_path, mono, resound):
    write_wav(tmp_path / "a.wav", hiss(20000, 2), rate=RATE, subtype="FLOAT")
    ended = resound("restore", tmp_path / "a.wav", "--model", mono, "-o", tmp_path / "b.wav", "--json")
    assert (ended.status, ended.stderr) == (0, "")
    heard = read_sound(tmp_path / "a.wav")
    np.testing.assert_allclose(read_sound(tmp_path / "b.wav"), convolved(heard), atol=1e-7)
    told = json.loads((tmp_path / "b.wav.json").read_text())
    assert (told["model"], list(told["stages"])) == ("fir", ["fir"])
    assert told["weights_md5"] == hashlib.md5(mono.read_bytes()).hexdigest()
    assert told["parameters"]["settings"] == {"path": str(mono), "max_reduction_db": None}
    removed_db = 10 * np.log10(np.sum((heard - convolved(heard)) ** 2) / np.sum(heard**2))
    assert told["stages"]["fir"] == pytest.approx(removed_db, abs=0.006)


def test_strength_and_reduction_reach_a_graph(tmp_path, mono):
    write_wav(tmp_path / "a.wav", hiss(5000), rate=RATE, subtype="DOUBLE")
    restore_file(tmp_path / "a.wav", tmp_path / "b.wav", model=str(mono), strength=0.5, max_reduction_db=20.0)
    heard = read_sound(tmp_path / "a.wav")
    share = 0.5 * (1 - 10 ** (-20 / 20))
    np.testing.assert_allclose(read_sound(tmp_path / "b.wav"), heard + share * (convolved(heard) - heard), atol=1e-7)


def test_the_name_defaults_to_the_files(tmp_path):
    metadata = {key: value for key, value in GOOD.items() if key != "name"}
    assert OnnxRestorer(write_graph(tmp_path / "best.onnx", metadata=metadata)).name == "best"


# What is no model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": "9" * 5000}, "its metadata 'sample_rate' is '9999"),
        ({"context_samples": "99999999999"}, "its metadata 'context_samples' is '99999999999'; export it with a whole"),
        ({"sample_rate": None}, "its metadata 'sample_rate' is None; export it with a whole number from 1"),
        ({"context_samples": None}, "its metadata 'context_samples' is None; export it"),
        ({"sample_rate": "0"}, "its metadata 'sample_rate' is '0'; export it"),
        ({"sample_rate": "48k"}, "its metadata 'sample_rate' is '48k'; export it"),
        ({"context_samples": "-1"}, "its metadata 'context_samples' is '-1'; export it"),
        ({"latency_samples": "²"}, "its metadata 'latency_samples' is '²'; export it"),
    ],
)
def test_metadata_that_is_missing_or_no_number_is_named(tmp_path, change, message):
    metadata = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    path = write_graph(tmp_path / "a.onnx", metadata=metadata)
    with pytest.raises(ModelError) as caught:
        find_model(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def flat(path: Path) -> Path:
    return write_node(path, helper.make_node("Identity", ["sound"], ["restored"]), ["batch", "time"], ["batch", "time"])


def whole_numbers(path: Path) -> Path:
    shape = ["batch", 1, "time"]
    return write_node(path, helper.make_node("Identity", ["sound"], ["restored"]), shape, shape, TensorProto.INT32)


def garbage(path: Path) -> Path:
    path.write_bytes(bytes(range(256)) * 10)
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def cut_off(path: Path) -> Path:
    content = write_graph(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (flat, "takes [['batch', 'time']], not one float (batch, channel, time); export the offline form"),
        (whole_numbers, "not one float (batch, channel, time); export the offline form"),
        (garbage, "is not an ONNX model that can be run"),
        (empty, "; export it again"),
        (cut_off, "is not an ONNX model that can be run"),
        (lambda path: path, "no such model file; give the path of an .onnx file"),
    ],
)
def test_a_file_that_is_no_model_is_one_line_before_any_work(tmp_path, resound, make, message):
    path = make(tmp_path / "m.onnx")
    write_wav(tmp_path / "a.wav")
    before = files_below(tmp_path)
    ended = resound("restore", tmp_path / "a.wav", "--model", path)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"resound: {path}: ")
    assert message in ended.stderr
    assert files_below(tmp_path) == before


def shorter(path: Path) -> Path:
    return write_graph(path, pads=(0, 0))


def of_fixed_length(path: Path) -> Path:
    return write_graph(path, time=1000)


def of_rank_2(path: Path) -> Path:
    node = helper.make_node("Flatten", ["sound"], ["restored"])
    return write_node(path, node, ["batch", 1, "time"], ["batch", "time"])


def of_three_channels(path: Path) -> Path:
    return write_graph(path, np.zeros((3, 3, 31)))


def not_finite(path: Path) -> Path:
    return write_node(path, helper.make_node("Log", ["sound"], ["restored"]), ["b", 1, "t"], ["b", 1, "t"])


def one_source_for_two_channels(path: Path) -> Path:
    return write_graph(path, np.zeros((1, 2, 31)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (shorter, "model 'fir' gave shape (1, 1, 3970) for (1, 1, 4000); it must keep (batch, source, time)"),
        (of_fixed_length, "model 'fir' fails on shape (1, 1, 4000)"),
        (of_rank_2, "it must keep (batch, source, time)"),
        (of_three_channels, "model 'fir' takes 3 channels, the recording has 2; use a mono model"),
        (not_finite, "model 'fir' gave samples that are not finite; use another one"),
        (one_source_for_two_channels, "model 'fir' gave 1 channels for 2; use one that keeps them"),
    ],
)
def test_a_graph_that_does_not_do_as_agreed_is_one_line_and_leaves_nothing(tmp_path, resound, make, message):
    path = make(tmp_path / "m.onnx")
    write_wav(tmp_path / "a.wav", hiss(4000, 2), rate=RATE)
    before = files_below(tmp_path)
    ended = resound("restore", tmp_path / "a.wav", "--model", path, "--removed", tmp_path / "r.wav")
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended
    assert message in ended.stderr
    assert files_below(tmp_path) == before


def test_the_session_keeps_to_one_thread(mono):
    options = OnnxRestorer(mono)._network.session.get_session_options()
    assert options.intra_op_num_threads == 1


def test_an_unknown_opset_is_told(tmp_path):
    path = write_graph(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.opset_import[0].version = 99
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"m\.onnx: is of an ONNX opset that onnxruntime .* does not know"):
        OnnxRestorer(path)


def test_stages_that_a_file_names_run_before_it(tmp_path):
    path = write_graph(tmp_path / "a.onnx", metadata=GOOD | {"after": '{"order": ["declick", "dehum"]}'})
    assert [stage.name for stage in find_model(path).stages(RATE)] == ["declick", "dehum", "fir"]
    skipped = ClassicConfig().with_stages(skip=["declick"])
    assert [stage.name for stage in find_model(path, config=skipped).stages(RATE)] == ["dehum", "fir"]
    with pytest.raises(ConfigError, match="heeds those of declick, dehum alone"):
        find_model(path, config=ClassicConfig().with_stages(only=["declick"]))
    write_graph(path, metadata=GOOD | {"after": '{"order": ["declick", "dehiss"], "dehiss": {"max_reduction_db": 6}}'})
    assert [stage.name for stage in find_model(path, max_reduction_db=6).stages(RATE)] == ["declick", "fir"]
    assert find_model(path).settings["dehiss"]["max_reduction_db"] == 6
    ours = ClassicConfig.model_validate({"dehiss": {"frame_seconds": 0.05}})
    merged = find_model(path, config=ours).settings["dehiss"]
    assert (merged["max_reduction_db"], merged["frame_seconds"]) == (6, 0.05)
    for told in ('{"order": ["declick", "debuzz"]}', '{"dehiss": {"depth": 6}}', "declick", "[1]"):
        write_graph(path, metadata=GOOD | {"after": told})
        with pytest.raises(ModelError, match="is to run before it, which is none of this resound's chain; update"):
            find_model(path)


@pytest.mark.parametrize(
    ("config", "heeded"),
    [
        (ClassicConfig(), True),
        (ClassicConfig().with_stages(skip=["declick"]), True),
        (ClassicConfig.model_validate({"declick": {"enabled": False}}), True),
        (ClassicConfig.model_validate({"dehiss": {"max_reduction_db": 12}}), False),  # the default, and meant
        (ClassicConfig.model_validate({"order": ["declick", "dehum", "dehiss"]}), False),
        (ClassicConfig().with_stages(only=["declick", "dehum", "dehiss"]), False),
        (ClassicConfig().with_stages(only=["declick"]), False),
        (ClassicConfig().with_stages(skip=["declick", "dehum"]), False),
    ],
)
def test_settings_of_other_stages_than_a_networks_own_are_none_of_it(config, heeded):
    assert is_heeded(config, ["declick"]) == heeded
    assert is_heeded(config, []) == (not config.model_fields_set)


def test_a_reduction_and_dehiss_before_a_network_do_not_go_together(tmp_path):
    path = write_graph(tmp_path / "a.onnx", metadata=GOOD | {"after": '{"order": ["dehiss"]}'})
    with pytest.raises(ConfigError, match="leave one of them out"):
        find_model(path, config=ClassicConfig.model_validate({"dehiss": {"max_reduction_db": 3}}), max_reduction_db=6)

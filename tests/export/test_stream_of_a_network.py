"""A network's stream, in torch and as a file, is what the network gives for the whole."""

import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

import resound  # noqa: E402
from conftest import hiss  # noqa: E402
from resound.checkpoint import load_model  # noqa: E402
from resound.inference.models import find_model  # noqa: E402
from resound.inference.network import NetworkRestorer  # noqa: E402
from resound.inference.offline import removed_by  # noqa: E402
from resound.inference.streaming import Stream  # noqa: E402


def streamed(stream, sound, most):
    rng, parts, start = np.random.default_rng(0), [], 0
    while start < sound.shape[1]:
        parts.append(stream.process(sound[:, start : start + int(rng.integers(1, most))]))
        start += parts[-1].shape[1]
    return np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency_samples :]


@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_it_is_the_whole_to_the_last_sample(form, tiny_model, tiny_stream):
    sound = hiss(20011, 2)
    with torch.inference_mode():
        whole = load_model(tiny_model)(torch.from_numpy(sound[:, None].astype(np.float32))).numpy()[:, 0]
    stream = Stream(tiny_model if form == "torch" else tiny_stream, channels=2)
    np.testing.assert_allclose(streamed(stream, sound, 500), whole, atol=1e-6)


def test_it_is_the_offline_result_at_another_rate(tiny_model, tiny_stream):
    sound = hiss(3 * 11025)
    offline = sound - removed_by(NetworkRestorer(tiny_model), sound, 11025)
    removed = np.mean((sound - offline)[:, 200:-200] ** 2)
    for whole, limit_db in ((True, -60), (False, -15)):  # a stream removes less where the band ends
        out = streamed(Stream(tiny_stream, sample_rate=11025, whole=whole), sound, 500)
        error = np.mean((out - offline)[:, 200:-200] ** 2)
        assert 10 * np.log10(error / removed) < limit_db


def test_the_file_restores_recordings_too(tiny_model, tiny_stream):
    sound = hiss(20011, 2)
    (stage,) = find_model(tiny_stream).stages(8000)
    np.testing.assert_allclose(stage.process(sound), NetworkRestorer(tiny_model).process(sound), atol=1e-6)
    assert find_model(tiny_stream).weights_md5


def test_a_long_recording_is_one_stream(tiny_stream):
    sound = hiss(45 * 8000, 2) * np.repeat([0.01, 1.0, 0.1], 15 * 8000)  # which the network's level has to follow
    restored = resound.restore(sound, 8000, tiny_stream)
    np.testing.assert_allclose(restored, streamed(Stream(tiny_stream, channels=2), sound, 4000), atol=1e-9)
    limited = resound.restore(sound, 8000, tiny_stream, max_reduction_db=6)
    kept = 10 ** (-6 / 20)
    np.testing.assert_allclose(limited, kept * sound + (1 - kept) * restored, atol=1e-9)


@pytest.mark.slow
def test_ten_minutes_in_random_frames_neither_drift_nor_grow(tiny_model, tiny_stream):
    sound = hiss(600 * 8000)
    stream = Stream(tiny_stream)
    streamed(stream, sound[:, :80000], 160)
    tracemalloc.start()
    out = [stream.process(sound[:, :4000])]
    size = tracemalloc.get_traced_memory()[0]
    rng, start = np.random.default_rng(1), 4000
    while start < sound.shape[1]:
        block = stream.process(sound[:, start : start + int(rng.integers(1, 400))])
        start += block.shape[1]
        if start > 590 * 8000:
            out.append(block)
    grown = tracemalloc.get_traced_memory()[0] - size
    tracemalloc.stop()
    tail = np.concatenate([*out[1:], stream.flush()], axis=1)
    with torch.inference_mode():
        whole = load_model(tiny_model)(torch.from_numpy(sound[None].astype(np.float32))).numpy()[0]
    n = min(tail.shape[1], 9 * 8000)
    np.testing.assert_allclose(tail[:, -n:], whole[:, -n:], atol=1e-5)
    assert grown < 2_000_000  # the blocks that were kept are 0.64 MB

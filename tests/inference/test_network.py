"""Networks of ours restore: in chunks what the whole would give, at any rate, and what does not fit is one line."""

import hashlib
import json
import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from conftest import hiss, read_sound, write_wav  # noqa: E402
from resound.checkpoint import save_model  # noqa: E402
from resound.errors import ModelError  # noqa: E402
from resound.inference.models import find_model  # noqa: E402
from resound.inference.network import CONTEXT_SECONDS, MOST_CONTEXT_SECONDS, NetworkRestorer  # noqa: E402
from resound.inference.offline import restore_blocks  # noqa: E402
from resound.models import build  # noqa: E402

RATE = 8000
# Convolutions alone (the norm is over one frame): what one sample depends on is limited.
CONVOLUTIONAL = {
    "n_sources": 1, "n_filters": 8, "filter_samples": 20, "stride_samples": 10, "bottleneck": 6, "hidden": 8, "skip": 4,
    "n_blocks": 2, "n_repeats": 2, "norm": "channel",
}  # fmt: skip
RECURRENT = {"sample_rate": RATE, "n_channels": 1, "widths": [4, 6], "strides": [2, 3], "kernel": 5, "gru_layers": 1}


def saved(tmp_path, name="conv_tasnet", **config):
    torch.manual_seed(0)
    network = build(name, **config).eval()
    save_model(tmp_path / "model", network)
    return tmp_path / "model", network


TWO_STAGES = {"sample_rate": RATE, "n_fft": 32, "hop": 8, "depth": 1, "num_tfc": 1, "widths": [4, 4]}
WAVE_U_NET = {"sample_rate": RATE, "n_levels": 3, "extra_filters": 4, "kernel_down": 5, "kernel_up": 3}
CONVOLUTIONS = {"conv_tasnet": CONVOLUTIONAL, "wave_u_net": WAVE_U_NET, "two_stage_unet": TWO_STAGES}


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path, **CONVOLUTIONAL)[0]


def chunked(sound, restorer, *, rate: int = RATE):
    blocks = [sound[:, start : start + 777] for start in range(0, sound.shape[1], 777)]
    out = restore_blocks(blocks, restorer, sample_rate=rate, chunk_seconds=0.1003, overlap_seconds=0.01)
    return np.concatenate(list(out), axis=1)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("n_samples", [1, 20, 800, 5003])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_chunks_of_a_convolutional_network_are_the_whole(tmp_path, name, n_samples, n_channels):
    sound = hiss(n_samples, n_channels)
    restorer = NetworkRestorer(saved(tmp_path, name, **CONVOLUTIONS[name])[0])
    np.testing.assert_allclose(chunked(sound, restorer), restorer.process(sound), atol=1e-6)


def test_off_its_grid_a_network_gives_something_else(folder):
    """So the test above can fail."""
    restorer = NetworkRestorer(folder)
    restorer.grid = 1
    sound = hiss(5003)
    assert np.abs(chunked(sound, restorer) - restorer.process(sound)).max() > 1e-4


@pytest.mark.parametrize("rate", [16000, 11025])
def test_chunks_begin_on_the_grid_at_other_rates_too(folder, rate):
    restorer, starts = NetworkRestorer(folder), []
    run = restorer.process

    def process(block):
        starts.append(block.shape[1])
        return run(block)

    restorer.process = process
    sound = hiss(2 * rate, rms=0.1)
    np.testing.assert_allclose(
        chunked(sound, restorer, rate=rate)[:, 500:-500],
        np.concatenate(list(restore_blocks([sound], restorer, sample_rate=rate)), axis=1)[:, 500:-500],
        atol=1e-3,
    )


def test_a_recurrent_network_gets_context_enough_to_settle(tmp_path):
    restorer = NetworkRestorer(saved(tmp_path, "timbre", **RECURRENT)[0])
    assert restorer.context == CONTEXT_SECONDS * RATE
    sound = hiss(30000)
    np.testing.assert_allclose(chunked(sound, restorer), restorer.process(sound), atol=1e-4)


def test_context_is_half_the_receptive_field_on_each_side_within_limits(tmp_path):
    folder, network = saved(tmp_path / "a", **CONVOLUTIONAL)
    assert NetworkRestorer(folder).context == network.receptive_field_samples // 2 + 2 * 10
    folder, network = saved(tmp_path / "b", **CONVOLUTIONAL | {"causal": True})
    assert NetworkRestorer(folder).context == network.receptive_field_samples
    folder, network = saved(tmp_path / "c", **CONVOLUTIONAL | {"n_blocks": 11, "n_repeats": 3})  # enormous
    assert NetworkRestorer(folder).context == MOST_CONTEXT_SECONDS * RATE < network.receptive_field_samples // 2


def test_memory_does_not_grow_with_the_recording(folder):
    restorer = NetworkRestorer(folder)

    def peak(n_blocks: int) -> int:
        tracemalloc.start()
        for _ in restore_blocks((hiss(4000) for _ in range(n_blocks)), restorer, sample_rate=RATE, chunk_seconds=0.5):
            pass
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    peak(4)
    assert peak(80) < 1.1 * peak(10)


def test_a_file_restored_by_a_network_names_it_in_its_log(tmp_path, folder, resound):
    write_wav(tmp_path / "a.wav", hiss(20000, 2), rate=RATE, subtype="FLOAT")
    ended = resound("restore", tmp_path / "a.wav", "--model", folder, "-o", tmp_path / "b.wav")
    assert (ended.status, ended.stderr) == (0, "")
    expected = NetworkRestorer(folder).process(read_sound(tmp_path / "a.wav"))
    np.testing.assert_allclose(read_sound(tmp_path / "b.wav"), expected, atol=1e-6)
    told = json.loads((tmp_path / "b.wav.json").read_text())
    assert told["model"] == "conv_tasnet"
    assert told["weights_md5"] == hashlib.md5((folder / "weights.safetensors").read_bytes()).hexdigest()


def test_the_largest_reduction_holds_for_a_network(folder):
    limited = find_model(folder, max_reduction_db=6.0).stages(RATE)[0]
    sound, kept = hiss(5003), 10 ** (-6 / 20)
    expected = kept * sound + (1 - kept) * NetworkRestorer(folder).process(sound)
    np.testing.assert_allclose(chunked(sound, limited), expected, atol=1e-6)


def test_a_network_that_does_not_restore_by_itself_is_told(tmp_path):
    with pytest.raises(ModelError, match="repairs what another model makes; use it with"):
        find_model(saved(tmp_path / "a", "timbre", **RECURRENT | {"n_channels": 2})[0])
    with pytest.raises(ModelError, match="gives 2 sources for 1 channel; to restore takes a network that gives one"):
        find_model(saved(tmp_path / "b", **CONVOLUTIONAL | {"n_sources": 2})[0])


def test_a_stereo_network_takes_both_channels_and_no_other_number(tmp_path):
    restorer = NetworkRestorer(saved(tmp_path, **CONVOLUTIONAL | {"n_sources": 2, "n_channels": 2})[0])
    assert restorer.process(hiss(800, 2)).shape == (2, 800)
    with pytest.raises(ModelError, match="takes 2 channels, the recording has 3; use a mono model"):
        restorer.process(hiss(800, 3))


def test_a_folder_that_is_no_model_is_one_line(tmp_path, resound):
    write_wav(tmp_path / "a.wav")
    ended = resound("restore", tmp_path / "a.wav", "--model", tmp_path)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "no model.json that can be read" in ended.stderr

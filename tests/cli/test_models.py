"""``resound models`` and ``resound import`` as users run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.checkpoint import load_model, read_about, save_model  # noqa: E402
from resound.models import MODELS, build  # noqa: E402
from resound.models.presets import load_preset, preset_names  # noqa: E402

PARITY = Path(os.environ.get("RESOUND_PARITY", Path(__file__).parents[3] / "shared" / "parity"))
ORIGINALS = {
    "conv_tasnet": "asteroid", "conv_tasnet_causal": "asteroid", "demucs_causal": "denoiser",
    "demucs_bidirectional": "denoiser", "tf_gridnet_v2": "espnet", "two_stage_unet": "two-stage-unet",
}  # fmt: skip
TIMBRE = {"sample_rate": 8000, "widths": [4, 6], "strides": [2, 3], "kernel": 5, "gru_layers": 1}
ASTEROID = {
    "n_src": 2, "n_filters": 8, "kernel_size": 4, "stride": 2, "bn_chan": 4, "hid_chan": 6, "skip_chan": 4,
    "n_blocks": 1, "n_repeats": 1, "mask_act": "relu", "norm_type": "gLN",
}  # fmt: skip


def asteroid_weights() -> dict[str, torch.Tensor]:
    """Return the parameters that asteroid's Conv-TasNet of that size has."""
    shared = "masker.TCN.0.shared_block"
    shapes = {
        "encoder.filterbank._filters": (8, 1, 4), "masker.bottleneck.0.gamma": (8,), "masker.bottleneck.0.beta": (8,),
        "masker.bottleneck.1.weight": (4, 8, 1), "masker.bottleneck.1.bias": (4,), f"{shared}.0.weight": (6, 4, 1),
        f"{shared}.0.bias": (6,), f"{shared}.1.weight": (1,), f"{shared}.2.gamma": (6,), f"{shared}.2.beta": (6,),
        f"{shared}.3.weight": (6, 1, 3), f"{shared}.3.bias": (6,), f"{shared}.4.weight": (1,),
        f"{shared}.5.gamma": (6,), f"{shared}.5.beta": (6,), "masker.TCN.0.res_conv.weight": (4, 6, 1),
        "masker.TCN.0.res_conv.bias": (4,), "masker.TCN.0.skip_conv.weight": (4, 6, 1),
        "masker.TCN.0.skip_conv.bias": (4,), "masker.mask_net.0.weight": (1,), "masker.mask_net.1.weight": (16, 4, 1),
        "masker.mask_net.1.bias": (16,), "decoder.filterbank._filters": (8, 1, 4),
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def checkpoint(tmp_path):
    package = {"model_name": "ConvTasNet", "model_args": ASTEROID, "state_dict": asteroid_weights()}
    torch.save(package, tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_the_list_has_every_preset_and_network(resound):
    ended = resound("models")
    assert (ended.status, ended.stderr) == (0, "")
    head, *lines = ended.stdout.splitlines()
    assert head.split()[:4] == ["preset", "network", "task", "rate"]
    assert {line.split()[0] for line in lines} == set(preset_names())
    assert {line.split()[1] for line in lines} == set(MODELS)
    told = next(line for line in lines if line.startswith("timbre-report "))
    assert told.split() == [
        "timbre-report",
        "timbre",
        "timbre",
        "48,000",
        "Hz",
        "yes",
        "0",
        "ms",
        "3,505,856",
        "no",
        "weights",
        "yet",
    ]


def test_the_list_as_json_has_numbers(resound):
    rows = json.loads(resound("models", "--json").stdout)
    row = next(row for row in rows if row["preset"] == "convtasnet-paper")
    assert row == {
        "preset": "convtasnet-paper", "network": "conv_tasnet", "task": "separate", "sample_rate": 8000,
        "causal": False, "latency_ms": None, "parameters": 5_050_545, "licence": None,
    }  # fmt: skip


def test_show_tells_what_a_network_costs(resound):
    ended = resound("models", "show", "timbre-report", "widths=[4,6]", "strides=[2,3]", "sample_rate=8000", "kernel=5")
    assert (ended.status, ended.stderr) == (0, "")
    told = {line[:15].strip(): line[15:].strip() for line in ended.stdout.splitlines()}
    assert told["waveform"] == "8,000 Hz, 2 channels in, 1 out"
    assert told["latency"] == "0 ms"
    assert told["stream"] == "in multiples of 0.75 ms"
    assert told["receptive field"].startswith("unlimited")
    assert told["training step"].startswith("at least ")
    assert "time" not in told


def test_show_as_json_with_time(resound):
    words = ["widths=[4,6]", "strides=[2,3]", "sample_rate=4000", "kernel=5"]
    told = json.loads(resound("models", "show", "timbre-report", *words, "--json", "--time").stdout)
    sizes = {"widths": [4, 6], "strides": [2, 3], "sample_rate": 4000, "kernel": 5}
    assert told["config"] == load_preset("timbre-report").config | sizes
    assert 0 < told["real_time_factor"] < 100
    assert 0 < told["hop_time_ms"] < 1000
    assert told["macs_per_second"] > 0


def test_a_preset_gives_the_sizes_and_words_change_them(resound):
    told = json.loads(resound("models", "show", "convtasnet-student", "hidden=16", "--json").stdout)
    assert (told["network"], told["config"]["hidden"], told["config"]["filter_samples"]) == ("conv_tasnet", 16, 40)
    assert "1,472,157" in told["about"]
    other = json.loads(
        resound("models", "show", "conv_tasnet", "--preset", "convtasnet-student", "hidden=16", "--json").stdout
    )
    assert other == told


def test_a_model_on_disk_is_shown_with_its_licence(tmp_path, resound):
    save_model(tmp_path / "mine", build("timbre", **TIMBRE), licence="CC0")
    ended = resound("models", "show", tmp_path / "mine")
    assert ended.status == 0
    assert ended.stdout.splitlines()[0] == "licence: CC0"
    assert json.loads(resound("models", "show", tmp_path / "mine", "--json").stdout)["licence"] == "CC0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convtasnet"], "convtasnet: no such network or preset (did you mean 'conv"),
        (["timbre-report", "widht=3"], "timbre: widht: no such setting (did you mean 'widths'"),
        (["timbre-report", "kernel"], "'kernel' is not a setting; write key=value"),
        (["timbre-report", "kernel=3"], "timbre: stride 6 leaves gaps between kernels of 3; lower it"),
        (["timbre", "--preset", "convtasnet-paper"], "convtasnet-paper: is a preset of conv_tasnet, not of timbre"),
        (["timbre", "--preset", "timbr"], "timbr: no such preset (did you mean 'timbre'"),
    ],
)
def test_what_cannot_be_shown_is_one_line(resound, words, message):
    ended = resound("models", "show", *words)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert message in ended.stderr


def test_an_imported_model_is_complete(tmp_path, resound, checkpoint):
    ended = resound("import", checkpoint, "--from", "asteroid", "-o", tmp_path / "mine")
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{tmp_path / 'mine'}  conv_tasnet, ")
    told = read_about(tmp_path / "mine")
    assert told["licence"] == "as its source says"
    assert told["source"].startswith("asteroid: best.pth, SHA-256 ")
    network = load_model(tmp_path / "mine")
    theirs = asteroid_weights()["encoder.filterbank._filters"].squeeze(1)
    torch.testing.assert_close(network.encoder.weight.detach(), theirs)


def test_weights_alone_need_the_config_in_the_origins_words(tmp_path, resound):
    torch.save(asteroid_weights(), tmp_path / "w.pth")
    ended = resound("import", tmp_path / "w.pth", "--from", "asteroid", "-o", tmp_path / "mine")
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "the config has no n_src" in ended.stderr
    (tmp_path / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in ASTEROID.items()))
    words = ["--config", tmp_path / "config.yaml", "--config", "sample_rate=16000", "--licence", "CC BY 4.0"]
    ended = resound("import", tmp_path / "w.pth", "--from", "asteroid", "-o", tmp_path / "mine", *words)
    assert (ended.status, ended.stderr) == (0, "")
    assert load_model(tmp_path / "mine").sample_rate == 16000
    assert read_about(tmp_path / "mine")["licence"] == "CC BY 4.0"


def test_a_config_that_does_not_fit_names_the_first_parameter(tmp_path, resound, checkpoint):
    words = ["--from", "asteroid", "-o", tmp_path / "mine", "--config", "hid_chan=8"]
    ended = resound("import", checkpoint, *words)
    assert (ended.status, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "'masker.TCN.0.shared_block.0.weight' is (6, 4, 1)" in ended.stderr
    assert not (tmp_path / "mine").exists()


def test_an_existing_model_is_kept_unless_asked(tmp_path, resound, checkpoint):
    words = ["import", checkpoint, "--from", "asteroid", "-o", tmp_path / "mine"]
    assert resound(*words).status == 0
    ended = resound(*words)
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert "exists already; give another name, or --overwrite" in ended.stderr
    assert resound(*words, "--overwrite").status == 0


@pytest.mark.parametrize(
    "words", [["models", "show", "gatewave"], ["import", "a.pth", "--from", "asteroid", "-o", "m"]]
)
def test_without_torch_one_line_says_what_to_install(words):
    program = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['resound', *sys.argv[1:]]; "
        "from resound.cli.main import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "networks need torch, which is not installed; run: pip install 'resound[train]'" in ended.stderr


@pytest.mark.shared
@pytest.mark.parametrize("name", ORIGINALS)
def test_imported_weights_give_what_the_original_gave(tmp_path, resound, name):
    if not PARITY.is_dir():
        pytest.skip(f"{PARITY} is absent; set RESOUND_PARITY to the folder of the originals' outputs")
    about = json.loads((PARITY / name / "about.json").read_text())["config"]
    (tmp_path / "config.json").write_text(json.dumps({key: about[key] for key in about if key != "source"}))
    words = ["--from", ORIGINALS[name], "--config", tmp_path / "config.json", "-o", tmp_path / "mine"]
    ended = resound("import", PARITY / name / "weights.npz", *words)
    assert (ended.status, ended.stderr) == (0, "")
    network = load_model(tmp_path / "mine")
    given, expected = (
        torch.from_numpy(np.load(next((PARITY / name).glob(f"{kind}*.npy")))).float() for kind in ("input", "output")
    )
    with torch.inference_mode():
        out = network(given.reshape(-1, network.config.n_channels, given.shape[-1]))
    assert (out - expected.reshape(out.shape)).norm() <= 1e-4 * expected.norm()

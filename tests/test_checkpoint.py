"""`resound.load`, and models on disk that are damaged or not what they say."""

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

import resound  # noqa: E402
from resound.checkpoint import ABOUT, WEIGHTS, load_model, run_network, save_model  # noqa: E402
from resound.errors import ModelError, OutputError  # noqa: E402
from resound.models import build  # noqa: E402

TINY = {"sample_rate": 8000, "widths": [4, 6], "strides": [2, 3], "kernel": 5, "gru_layers": 1}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("timbre", **TINY).eval()


@pytest.fixture
def folder(tmp_path, network):
    save_model(tmp_path / "model", network, licence="MIT")
    return tmp_path / "model"


def test_a_folder_loads_as_it_was_saved(folder, network):
    x = 0.1 * torch.randn(1, 2, 500)
    loaded = resound.load(str(folder))
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))
        assert (run_network(loaded, x.numpy()) == network(x).numpy()).all()
    assert not loaded.training


def test_a_preset_without_weights_says_how_to_get_some():
    with pytest.raises(
        ModelError, match=r"gatewave: comes without weights so far; train it, or import .*build\('gatewave'"
    ):
        resound.load("gatewave")


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ModelError, match="timbr: no such model \\(did you mean 'timbre'"):
        resound.load("timbr")


def test_a_file_is_sent_to_import(tmp_path):
    (tmp_path / "a.pth").touch()
    with pytest.raises(ModelError, match="is a file, not a model's folder; run 'resound import"):
        resound.load(tmp_path / "a.pth")


def test_a_folder_of_something_else_is_told(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(ModelError, match=r"no model.json that can be read \(a.wav\)"):
        resound.load(tmp_path)


def test_changed_weights_are_noticed(folder):
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(folder)


def test_weights_of_another_size_name_the_first_parameter(folder):
    told = json.loads((folder / ABOUT).read_text())
    told["config"]["widths"] = [4, 8]
    (folder / ABOUT).write_text(json.dumps(told))
    with pytest.raises(ModelError, match=r"'gru.weight_ih_l0' is \(18, 6\), the config makes it \(24, 8\)|'down"):
        load_model(folder)


def test_a_model_is_replaced_only_when_asked_and_nothing_else_ever(folder, network, tmp_path):
    with pytest.raises(OutputError, match="exists already"):
        save_model(folder, network)
    save_model(folder, network, overwrite=True)
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").touch()
    with pytest.raises(OutputError, match="is no model, so it is not replaced"):
        save_model(tmp_path / "music", network, overwrite=True)
    assert (tmp_path / "music" / "a.wav").exists()


DAMAGE = {
    "a list": "[]",
    "without a name": {"name": None},
    "a name that is a list": {"name": ["timbre"]},
    "an unknown name": {"name": "tmbre"},
    "a config that is a text": {"config": "small"},
    "a setting called name": {"config": {**TINY, "name": "x"}},
    "an unknown setting": {"config": {**TINY, "widhts": [1]}},
    "more than there is memory": {"config": {**TINY, "widths": [10**9, 10**9]}},
    "another version": {"resound_model": 99},
    "nested without end": "[" * 100_000,
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_description_that_is_damaged_is_one_line(folder, case):
    path, damage = folder / ABOUT, DAMAGE[case]
    told = json.loads(path.read_text())
    path.write_text(damage if isinstance(damage, str) else json.dumps({**told, **damage}))
    with pytest.raises(ModelError) as error:
        load_model(folder)
    assert "model" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [None, 3, ["a"]])
def test_what_is_no_path_is_told(wrong):
    with pytest.raises(ModelError, match="is no model"):
        resound.load(wrong)

"""Weights of others are read without running what comes with them."""

import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from safetensors.torch import save_file  # noqa: E402

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models.importers import ORIGINS, import_weights, read_settings  # noqa: E402
from resound.models.importers.reading import read_package, weights_and_config  # noqa: E402

WEIGHTS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2)}


class Malicious:
    """Makes a file when it is unpickled: harmless, but it shows that code was run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def plain(path: Path) -> Path:
    torch.save(WEIGHTS, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".th", ".bin", ".pt", ".ckpt"])
def test_plain_weights_come_back(tmp_path, suffix):
    read = read_package(plain(tmp_path / f"weights{suffix}"))
    assert list(read) == list(WEIGHTS)
    assert all(torch.equal(read[name], value) for name, value in WEIGHTS.items())


def test_arrays_and_safetensors_come_back_in_their_order(tmp_path):
    np.savez(tmp_path / "w.npz", **{name: value.numpy() for name, value in WEIGHTS.items()})
    assert list(read_package(tmp_path / "w.npz")) == list(WEIGHTS)
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    for name in ("w.npz", "w.safetensors"):
        read = read_package(tmp_path / name)
        assert all(torch.equal(read[key], value) for key, value in WEIGHTS.items())


@pytest.mark.parametrize("form", ["zip", "old", "pickle"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, form):
    made, path = tmp_path / "made", tmp_path / "evil.pth"
    package = {"weight": torch.ones(2), "extra": Malicious(made)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({"extra": Malicious(made)}))
    else:
        torch.save(package, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ModelError, match="refused") as caught:
        read_package(path)
    assert form == "pickle" or "would run posix.mkdir" in str(caught.value) or "nt.mkdir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not made.exists()


def test_pickled_objects_among_arrays_are_refused_and_not_run(tmp_path):
    np.savez(tmp_path / "evil.npz", a=np.array([Malicious(tmp_path / "made")], dtype=object))
    with pytest.raises(ModelError, match="holds pickled objects, whose loading runs code"):
        read_package(tmp_path / "evil.npz")
    assert not (tmp_path / "made").exists()


@pytest.fixture
def denoiser_package(monkeypatch):
    """What denoiser saves while it trains: the class of the network beside the weights."""
    module = types.ModuleType("denoiser.demucs")
    kind = type("Demucs", (), {"__module__": "denoiser.demucs", "__setstate__": lambda *_: os.abort()})
    module.Demucs = kind
    monkeypatch.setitem(sys.modules, "denoiser", types.ModuleType("denoiser"))
    monkeypatch.setitem(sys.modules, "denoiser.demucs", module)
    return {"class": kind, "args": (), "kwargs": {"hidden": 4}, "state": WEIGHTS}


def test_the_name_of_denoisers_class_is_read_without_it(tmp_path, denoiser_package, monkeypatch):
    torch.save(denoiser_package, tmp_path / "best.th")
    monkeypatch.delitem(sys.modules, "denoiser.demucs")
    weights, config = weights_and_config(read_package(tmp_path / "best.th"))
    assert (list(weights), config) == (list(WEIGHTS), {"hidden": 4})


@pytest.mark.parametrize("content", [b"", b"\0" * 300, bytes(range(256)) * 4, b"PK\x03\x04" + b"x" * 100, b"\x80\x02."])
@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_a_damaged_file_is_one_line(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_package(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_cut_off_is_one_line(tmp_path):
    whole = plain(tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"half.pth: .*(get another copy|refused)"):
        read_package(tmp_path / "half.pth")


def test_what_is_no_checkpoint_is_told(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        read_package(tmp_path / "none.pth")
    (tmp_path / "a.txt").touch()
    with pytest.raises(ModelError, match="is no kind of checkpoint that can be read"):
        read_package(tmp_path / "a.txt")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="holds list, not weights by name"):
        read_package(tmp_path / "list.pth")


@pytest.mark.parametrize(
    "package",
    [
        {"state_dict": WEIGHTS, "model_args": {"n_src": 2}},
        {"state": WEIGHTS, "kwargs": {"n_src": 2}, "epoch": 3},
        {"model": {"state": WEIGHTS, "kwargs": {"n_src": 2}}},
    ],
)
def test_weights_and_config_are_found_where_packages_keep_them(package):
    weights, config = weights_and_config(package)
    assert (list(weights), config) == (list(WEIGHTS), {"n_src": 2})


def test_a_package_without_weights_says_what_it_has():
    with pytest.raises(ModelError, match=r"no weights by name \(found epoch, optimizer\)"):
        weights_and_config({"epoch": 3, "optimizer": {}})


def test_later_settings_win(tmp_path):
    (tmp_path / "a.yaml").write_text("hidden: 48\ndepth: 5\n")
    (tmp_path / "b.json").write_text('{"depth": 4}')
    words = [str(tmp_path / "a.yaml"), str(tmp_path / "b.json"), "hidden=64", "a.b=[1, 2]"]
    assert read_settings(words) == {"hidden": 64, "depth": 4, "a": {"b": [1, 2]}}


def test_an_unknown_origin_is_named_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="--from asteriod: no such origin \\(did you mean 'asteroid'"):
        import_weights(plain(tmp_path / "a.pth"), "asteriod")


@pytest.mark.parametrize("origin", ORIGINS)
def test_weights_of_something_else_are_one_line(tmp_path, origin):
    small = ["depth=1", "num_tfc=1"] if origin == "two-stage-unet" else []
    with pytest.raises(ModelError) as caught:
        import_weights(plain(tmp_path / "a.pth"), origin, small)
    assert str(caught.value).startswith(f"{tmp_path / 'a.pth'}: ")
    assert "\n" not in str(caught.value)


def asteroid_package(**changes):
    """A package of asteroid's form, all of it but for the changes."""
    args = {"n_src": 2, "n_filters": 8, "kernel_size": 4, "stride": 2, "bn_chan": 4, "hid_chan": 4, "skip_chan": 4}
    return {"model_name": "ConvTasNet", "model_args": args, "state_dict": {"a": torch.ones(2)}} | changes


STRANGE = {
    "arguments that are a list": asteroid_package(model_args=["n_src", 2]),
    "arguments that are a text": asteroid_package(model_args="n_src=2"),
    "a norm that is a list": asteroid_package(model_args={"n_src": 2, "norm_type": ["gLN"]}),
    "a text for a tensor": asteroid_package(state_dict={"a": "weights"}),
    "no weights": asteroid_package(state_dict={}),
    "weights without values": asteroid_package(state_dict={"a": torch.ones(2, device="meta")}),
    "sparse weights": asteroid_package(state_dict={"a": torch.eye(3).to_sparse()}),
    "whole numbers": asteroid_package(state_dict={"a": torch.arange(4)}),
    "complex numbers": asteroid_package(state_dict={"a": torch.ones(3, dtype=torch.complex64)}),
    "no numbers": asteroid_package(state_dict={"a": torch.full((2,), float("nan"))}),
    "a vector for a filterbank": asteroid_package(state_dict={"encoder.filterbank._filters": torch.ones(8)}),
    "more than there is memory": asteroid_package(model_args={"n_src": 2, "n_filters": 10**12}),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("case", STRANGE)
def test_a_package_of_another_form_is_one_line(tmp_path, case):
    torch.save(STRANGE[case], tmp_path / "strange.pth")
    with pytest.raises((ModelError, ConfigError)) as told:
        import_weights(tmp_path / "strange.pth", "asteroid")
    assert "strange.pth" in str(told.value)
    assert "\n" not in str(told.value)

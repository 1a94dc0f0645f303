"""Demucs: the original's numbers, the published sizes, and a stream that is the whole."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from torch.nn import functional  # noqa: E402

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.demucs import Decoder, Demucs, DemucsConfig, Encoder  # noqa: E402
from resound.models.importers.denoiser import PUBLISHED, from_denoiser  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402

PARITY = Path(os.environ.get("RESOUND_PARITY", Path(__file__).parents[3] / "shared" / "parity"))
SMALL = {"hidden": 4, "depth": 2}


def original(name: str):
    """Return config, weights, input and output of a case that the original implementation computed."""
    folder = PARITY / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    config = json.loads((folder / "about.json").read_text())["config"]
    config.pop("source")
    weights = {key: torch.from_numpy(value) for key, value in np.load(folder / "weights.npz").items()}
    return config, weights, *(torch.from_numpy(np.load(folder / f"{what}.npy")) for what in ("input", "output"))


def weights_of(network: Demucs) -> dict[str, torch.Tensor]:
    """Return the parameters under the names of the original."""
    place = {("encoder", "conv"): 0, ("encoder", "gate"): 2, ("decoder", "gate"): 0, ("decoder", "conv"): 2}
    weights = {}
    for name, value in network.state_dict().items():
        parts = name.split(".")
        if parts[0] in ("encoder", "decoder"):
            parts[2] = str(place[parts[0], parts[2]])
        else:
            parts = ["lstm", *parts]
        weights[".".join(parts)] = value
    return weights


@pytest.mark.shared
@pytest.mark.parametrize("name", ["demucs_causal", "demucs_bidirectional"])
def test_it_gives_what_the_original_gives(name):
    config, weights, x, expected = original(name)
    network = from_denoiser(weights, config)
    with torch.no_grad():
        assert (network(x) - expected).norm() <= 2e-6 * expected.norm()
    assert (network(x) - expected).norm() <= 2e-6 * expected.norm()  # the way of training
    assert n_parameters(network) == sum(value.numel() for value in weights.values())


@pytest.mark.shared
def test_imported_weights_stream_with_a_running_scale():
    config, weights, x, _ = original("demucs_causal")
    network = from_denoiser(weights, {**config, "normalisation": "running"})
    frame = 3 * network.hop_samples
    padded = functional.pad(x, (0, -x.shape[-1] % frame))
    state, parts = network.init_state(len(x)), []
    with torch.no_grad():
        for part in padded.split(frame, dim=-1):
            out, state = network.step(part, state)
            parts.append(out)
        stream = torch.cat([*parts, network.flush(state)], dim=-1)[..., network.latency_samples :]
        whole = network(x)
    assert (stream[..., : x.shape[-1]] - whole).norm() <= 1e-5 * whole.norm()


@pytest.mark.parametrize(("hidden", "expected"), [(48, 18_867_937), (64, 33_533_569)])
def test_the_published_sizes_have_the_published_number_of_parameters(hidden, expected):
    with torch.device("meta"):
        assert n_parameters(build("demucs", hidden=hidden)) == expected


def test_at_its_size_it_is_late_by_two_hops_and_the_filter_below():
    with torch.device("meta"):
        network = build("demucs")
    assert network.hop_samples == 256
    assert network.latency_samples == 2 * 256 + 56 + 28


@pytest.mark.parametrize("resample", [1, 2, 4])
@pytest.mark.parametrize(("kernel", "stride", "depth"), [(8, 4, 2), (8, 2, 2), (4, 4, 1), (4, 2, 3)])
def test_a_stream_is_the_whole_for_every_shape_of_layers(resample, kernel, stride, depth):
    torch.manual_seed(0)
    network = build("demucs", hidden=3, depth=depth, kernel=kernel, stride=stride, resample=resample).eval()
    n_samples = 333
    x = torch.randn(2, 1, n_samples)
    for n_hops in (1, 3, 20):
        frame = n_hops * network.hop_samples
        state, parts = network.init_state(2), []
        with torch.no_grad():
            for part in functional.pad(x, (0, -n_samples % frame)).split(frame, dim=-1):
                out, state = network.step(part, state)
                parts.append(out)
            late = network.latency_samples
            stream = torch.cat([*parts, network.flush(state)], dim=-1)[..., late : late + n_samples]
            torch.testing.assert_close(stream, network(x), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("normalisation", ["whole", "running"])
def test_twice_the_input_is_twice_the_output_where_the_floor_does_not_count(normalisation):
    torch.manual_seed(0)
    network = build("demucs", **SMALL, normalisation=normalisation, floor=1e-9).eval()
    x = 0.1 * torch.randn(1, 1, 2000)
    with torch.no_grad():
        torch.testing.assert_close(network(2 * x), 2 * network(x), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("rows_in_cache", [10, 10_000])
@pytest.mark.parametrize("in_pairs", [False, True])
@pytest.mark.parametrize("is_last", [False, True])
def test_layers_and_their_gradients_are_those_of_torch(monkeypatch, rows_in_cache, in_pairs, is_last):
    monkeypatch.setattr("resound.models.kernels.rows.ROWS_IN_CACHE", rows_in_cache)
    if in_pairs:
        monkeypatch.setattr("resound.models.kernels.rows.NARROW", 1)
        monkeypatch.setattr("resound.models.kernels.rows.FEW_ROWS", 2)
    torch.manual_seed(0)
    config = DemucsConfig(**SMALL)
    x = torch.randn(3, 36, 3)
    for layer in (Encoder(config, 3, 5), Decoder(config, 3, 2, is_last=is_last)):
        conv, gate = layer.conv, layer.gate

        def plain(x, layer=layer, conv=conv, gate=gate):
            x = x.transpose(1, 2)
            if isinstance(layer, Encoder):
                x = functional.conv1d(x, conv.weight, conv.bias, stride=4).relu()
                return functional.glu(functional.conv1d(x, gate.weight, gate.bias), dim=1).transpose(1, 2)
            x = functional.glu(functional.conv1d(x, gate.weight, gate.bias), dim=1)
            x = functional.conv_transpose1d(x, conv.weight, conv.bias, stride=4).transpose(1, 2)
            return x if is_last else x.relu()

        results = []
        for function in (layer, plain):
            leaf = x.clone().requires_grad_()
            y = function(leaf)
            score = (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum()
            results.append([y, *torch.autograd.grad(score, [leaf, *layer.parameters()])])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), plain(x), atol=1e-5, rtol=1e-4)


def test_relu_can_stand_for_the_gates():
    torch.manual_seed(0)
    network = build("demucs", **SMALL, glu=False)
    x = torch.randn(1, 1, 300)
    with torch.no_grad():
        expected = network(x)
    torch.testing.assert_close(network(x), expected, atol=1e-6, rtol=1e-4)
    assert network.encoder[0].gate.weight.shape == (4, 4, 1)


def test_layers_make_the_same_in_a_graph_for_export(monkeypatch):
    torch.manual_seed(0)
    network = build("demucs", **SMALL).eval()
    x = torch.randn(2, 1, 500)
    with torch.no_grad():
        expected = network(x)
        monkeypatch.setattr("resound.models.kernels.when.is_traced", lambda: True)
        torch.testing.assert_close(network(x), expected, atol=1e-6, rtol=1e-4)


def test_training_and_evaluation_lay_the_weights_of_the_lstm_differently_but_keep_them():
    network = build("demucs", **SMALL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()
    assert not network.lstm.weight_hh_l0.is_contiguous()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.train().lstm.weight_hh_l0.is_contiguous()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_known_by_name(name):
    small = {"hidden": 2, "depth": 3}
    weights = weights_of(Demucs(DemucsConfig(**{"kernel": 8, **{k: v for k, v in PUBLISHED[name].items()}, **small})))
    network = from_denoiser(weights, {"name": name, **small})
    assert network.config.normalisation == "whole"
    assert network.config.causal == (name != "valentini_nc")
    assert all(torch.equal(value, weights[key]) for key, value in weights_of(network).items())


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (None, {"hidden": 5}, r"'encoder\.0\.0\.weight' is \(4, 1, 8\), the config makes it \(5, 1, 8\)"),
        (None, {"depth": 3}, r"the weights have no 'encoder\.2\.0\.weight'"),
        (None, {"causal": False}, r"the weights have no 'lstm\.lstm\.weight_ih_l0_reverse'"),
        ("more", {}, "the weights hold 'more'"),
        (None, {"hiden": 4}, "hiden: no such setting of Demucs \\(did you mean 'hidden'"),
        (None, {"name": "valentini"}, "valentini: no such published network \\(did you mean 'valentini_nc'"),
        (None, {"resample": 3}, "resample"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, config, message):
    weights = weights_of(build("demucs", **SMALL))
    if change:
        weights[change] = torch.zeros(1)
    with pytest.raises(ModelError, match=message) as caught:
        from_denoiser(weights, {**SMALL, **config})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kernel": 7}, "kernel must be a multiple of stride, got 7 and 4"),
        ({"stride": 3, "kernel": 6, "depth": 1}, r"stride \*\* depth must be a multiple of resample"),
        ({"resample": 3}, "resample"),
    ],
)
def test_impossible_sizes_are_told(config, message):
    with pytest.raises(ConfigError, match=message):
        build("demucs", **config)


@pytest.mark.parametrize("config", [{"normalisation": "whole"}, {"causal": False}])
def test_what_knows_the_future_does_not_stream(config):
    network = build("demucs", **SMALL, **config)
    assert not network.is_causal
    with pytest.raises(ModelError, match="build it with causal=true and normalisation=running"):
        network.init_state()


def test_a_step_of_half_a_hop_is_refused():
    network = build("demucs", **SMALL).eval()
    with pytest.raises(ModelError, match="a multiple of 4"):
        network.step(torch.zeros(1, 1, 6), network.init_state())

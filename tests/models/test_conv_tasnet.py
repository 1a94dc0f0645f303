"""Conv-TasNet: the original's numbers, the reach of its norms, its streams, its weights from elsewhere."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.importers.asteroid import from_asteroid, unpack  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402

TINY = {"n_filters": 24, "filter_samples": 8, "bottleneck": 12, "hidden": 20, "skip": 8, "n_blocks": 3, "n_repeats": 2}
STUDENT = {"n_filters": 128, "filter_samples": 40, "hidden": 256, "n_blocks": 7, "n_repeats": 2}
PARITY = Path(os.environ.get("RESOUND_PARITY", Path(__file__).parents[2] / ".." / "shared" / "parity"))


def tiny(**config):
    torch.manual_seed(0)
    return build("conv_tasnet", **(TINY | config)).eval()


def hiss(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def original(name):
    """Return weights, config, input and output of the original."""
    folder = PARITY / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    config = json.loads((folder / "about.json").read_text())["config"]
    config.pop("source")
    with np.load(folder / "weights.npz") as archive:
        weights = {key: torch.from_numpy(archive[key]) for key in archive.files}
    return weights, config, *(torch.from_numpy(np.load(folder / f"{which}.npy")) for which in ("input", "output"))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["conv_tasnet", "conv_tasnet_causal"])
def test_the_original_gives_the_same(name):
    weights, config, x, theirs = original(name)
    network = from_asteroid(weights, config)
    with torch.no_grad():
        ours = network(x)
    assert float((ours - theirs).norm() / theirs.norm()) < 2e-6
    in_training = network(x).detach()  # by other code, which keeps what the gradient needs
    assert float((in_training - theirs).norm() / theirs.norm()) < 2e-6
    assert n_parameters(network) == 25_181


@pytest.mark.shared
def test_published_weights_stream_as_the_original_runs_offline():
    weights, config, x, theirs = original("conv_tasnet_causal")
    network = from_asteroid(weights, config)
    whole = x[..., :4000]  # hops only, for the original leaves a rest out
    with torch.no_grad():
        first, state = network.step(whole[..., :1600], network.init_state(len(x)))
        second, state = network.step(whole[..., 1600:], state)
        stream = torch.cat([first, second, network.flush(state)], dim=-1)[..., network.latency_samples :]
        torch.testing.assert_close(stream, network(whole), atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(stream[..., :3984], theirs[..., :3984], atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize(("config", "count"), [({}, 5_050_545), (STUDENT, 1_472_157)])
def test_the_published_sizes_have_the_published_number_of_parameters(config, count):
    with torch.device("meta"):
        assert n_parameters(build("conv_tasnet", **config)) == count


def test_a_network_with_global_norm_lets_the_future_change_the_far_past():
    x = hiss(1, 1, 4000)
    changed = x.clone()
    changed[..., 3500:] *= 4
    with torch.no_grad():
        globally = tiny()
        assert float((globally(x) - globally(changed))[..., :1000].abs().max()) > 1e-4
        framewise = tiny(norm="channel")  # not causal either, but with an end
        torch.testing.assert_close(framewise(x)[..., :1000], framewise(changed)[..., :1000], atol=1e-7, rtol=0)


@pytest.mark.parametrize("norm", ["cumulative", "channel"])
@pytest.mark.parametrize(("filter_samples", "stride_samples"), [(8, None), (10, 4), (8, 2), (6, 6)])
def test_any_filter_and_stride_stream_as_they_run_offline(norm, filter_samples, stride_samples):
    network = tiny(norm=norm, causal=True, filter_samples=filter_samples, stride_samples=stride_samples)
    hop, late, x = network.hop_samples, network.latency_samples, hiss(2, 1, 1501)
    padded = torch.nn.functional.pad(x, (0, -1501 % (30 * hop)))
    state, parts, at = network.init_state(2), [], 0
    with torch.no_grad():
        while at < padded.shape[-1]:
            for n_hops in (1, 2, 27):  # frames need not be of one size
                out, state = network.step(padded[..., at : at + n_hops * hop], state)
                parts.append(out)
                at += n_hops * hop
        stream = torch.cat([*parts, network.flush(state)], dim=-1)[..., late : late + 1501]
        torch.testing.assert_close(stream, network(x), atol=2e-6, rtol=1e-4)


def test_a_stream_has_the_gradient_of_the_whole():
    network, x = tiny(norm="cumulative", causal=True), hiss(1, 1, 400)
    network(x).square().sum().backward()
    whole = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    first, state = network.step(x[..., :200], network.init_state(1))
    second, state = network.step(x[..., 200:], state)
    stream = torch.cat([first, second, network.flush(state)], dim=-1)[..., network.latency_samples :]
    stream.square().sum().backward()
    for parameter, expected in zip(network.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected, atol=1e-6, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["global", "cumulative"])
def test_a_graph_made_at_one_length_is_right_at_another(norm):
    network = tiny(norm=norm, n_blocks=2, n_repeats=1)
    dynamic = ({2: torch.export.Dim.DYNAMIC},)
    with torch.no_grad():
        made = torch.export.export(
            network, (hiss(1, 1, 1000),), dynamic_shapes=dynamic, prefer_deferred_runtime_asserts_over_guards=True
        ).module()
        x = hiss(1, 1, 1503)
        torch.testing.assert_close(made(x), network(x), atol=1e-6, rtol=1e-4)


def test_every_sample_comes_out_unless_the_end_is_left_as_asteroid_leaves_it():
    x = hiss(1, 1, 1003)
    with torch.no_grad():
        assert (tiny()(x)[..., -3:] != 0).all()
        ends_early = tiny(pad_end=False)
        assert (ends_early(x)[..., 1000:] == 0).all()
        assert (ends_early(x[..., :5]) != 0).any()  # shorter than a filter


@pytest.mark.parametrize("mask", ["relu", "sigmoid", "softmax"])
def test_softmax_masks_share_the_mixture_out(mask):
    network = tiny(mask=mask)
    with torch.no_grad():
        masks = network._masks(hiss(1, 7, 8))
    assert masks.shape == (1, 2, 7, 24)
    assert bool(((masks.sum(dim=1) - 1).abs() < 1e-6).all()) == (mask == "softmax")
    assert (masks >= 0).all()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"filter_samples": 15}, "filter_samples must be even"),
        ({"filter_samples": 8, "stride_samples": 9}, "leaves gaps"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"causal": True}, "'global' sees the future"),
        ({"norm": "batch"}, "norm: input should be"),
    ],
)
def test_impossible_sizes_are_told_in_one_line(config, told):
    with pytest.raises(ConfigError, match=told) as error:
        build("conv_tasnet", **config)
    assert "\n" not in str(error.value)


def test_a_network_that_is_not_causal_does_not_stream():
    with pytest.raises(ModelError, match="not causal"):
        tiny().init_state(1)


def test_a_step_of_part_of_a_hop_is_refused():
    network = tiny(norm="cumulative", causal=True)
    with pytest.raises(ModelError, match=r"a multiple of 4\), got \(1, 1, 6\)"):
        network.step(hiss(1, 1, 6), network.init_state(1))


THEIRS = {"n_src": 2, "n_filters": 6, "kernel_size": 4, "stride": 2, "bn_chan": 3, "hid_chan": 5, "skip_chan": 2}
THEIRS |= {"conv_kernel_size": 3, "n_blocks": 2, "n_repeats": 1, "mask_act": "relu", "norm_type": "gLN"}
THEIRS |= {"fb_name": "FreeFB", "in_chan": 6, "out_chan": 6, "encoder_activation": None, "sample_rate": 8000.0}


def their_weights():
    """Return random weights under the original's names."""
    shapes = {"encoder.filterbank._filters": (6, 1, 4), "decoder.filterbank._filters": (6, 1, 4)}
    entry = {"0.gamma": (6,), "0.beta": (6,), "1.weight": (3, 6, 1), "1.bias": (3,)}
    shapes |= {f"masker.bottleneck.{key}": shape for key, shape in entry.items()}
    shared = {"0.weight": (5, 3, 1), "0.bias": (5,), "1.weight": (1,), "2.gamma": (5,), "2.beta": (5,)}
    shared |= {"3.weight": (5, 1, 3), "3.bias": (5,), "4.weight": (1,), "5.gamma": (5,), "5.beta": (5,)}
    block = {f"shared_block.{key}": shape for key, shape in shared.items()}
    block |= {
        "res_conv.weight": (3, 5, 1),
        "res_conv.bias": (3,),
        "skip_conv.weight": (2, 5, 1),
        "skip_conv.bias": (2,),
    }
    for index in range(2):
        shapes |= {f"masker.TCN.{index}.{key}": shape for key, shape in block.items()}
    shapes |= {
        "masker.mask_net.0.weight": (1,),
        "masker.mask_net.1.weight": (12, 2, 1),
        "masker.mask_net.1.bias": (12,),
    }
    return {key: hiss(*shape, seed=number) for number, (key, shape) in enumerate(shapes.items())}


def test_a_saved_asteroid_model_is_imported():
    network = from_asteroid(*unpack({"model_name": "ConvTasNet", "model_args": THEIRS, "state_dict": their_weights()}))
    assert network.config.n_sources == 2 and network.config.stride == 2 and network.sample_rate == 8000
    block = network.blocks[1]
    theirs = their_weights()
    assert torch.equal(block.out.weight[:3], theirs["masker.TCN.1.res_conv.weight"][..., 0])
    assert torch.equal(block.out.weight[3:], theirs["masker.TCN.1.skip_conv.weight"][..., 0])
    assert n_parameters(network) == sum(value.numel() for value in theirs.values())


def test_the_first_parameter_that_does_not_fit_is_named():
    weights = their_weights()
    missing = {key: value for key, value in weights.items() if "TCN.1.res_conv.bias" not in key}
    with pytest.raises(ModelError, match=r"no 'masker\.TCN\.1\.res_conv\.bias'"):
        from_asteroid(missing, THEIRS)
    with pytest.raises(ModelError, match=r"'masker\.TCN\.0\.shared_block\.0\.weight' is \(5, 3, 1\)"):
        from_asteroid(weights, THEIRS | {"hid_chan": 7})
    with pytest.raises(ModelError, match=r"'masker\.TCN\.1\.shared_block\.0\.weight' has no place"):
        from_asteroid(weights, THEIRS | {"n_blocks": 1})
    with pytest.raises(ModelError, match=r"no 'masker\.TCN\.0\.shared_block\.3\.0\.weight'"):
        from_asteroid(weights, THEIRS | {"causal": True})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_blox": 2}, "n_blox: no such setting of ConvTasNet \\(did you mean 'n_blocks'"),
        ({"fb_name": "stft"}, "fb_name stft cannot be imported"),
        ({"norm_type": "bN"}, "norm_type bN cannot be imported; gLN, cLN, cgLN can"),
        ({"out_chan": 3}, "out_chan 3 cannot be imported"),
        ({"mask_act": "linear"}, "mask: input should be"),
        ({"model_name": "DPRNNTasNet"}, "DPRNNTasNet cannot be imported"),
    ],
)
def test_what_cannot_be_imported_is_told(change, told):
    with pytest.raises(ModelError, match=told) as error:
        from_asteroid(their_weights(), THEIRS | change)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_saved_model_is_told():
    with pytest.raises(ModelError, match="no 'state_dict' \\(found epoch\\)"):
        unpack({"epoch": 3})
    with pytest.raises(ModelError, match="has no n_src"):
        from_asteroid(their_weights(), {})

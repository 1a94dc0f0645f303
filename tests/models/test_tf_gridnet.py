"""TF-GridNet: the original's numbers, any unfolding, its memory, its weights from elsewhere."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.importers.espnet import from_espnet  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402
from resound.models.tf_gridnet import Path as GridPath  # noqa: E402
from resound.models.tf_gridnet import TFGridNetConfig  # noqa: E402

TINY = {"n_fft": 32, "hop": 16, "n_blocks": 1, "embedding": 8, "unfold": 3, "hidden": 6, "n_heads": 2, "qk_size": 34}
PARITY = Path(os.environ.get("RESOUND_PARITY", Path(__file__).parents[2] / ".." / "shared" / "parity"))


def tiny(**config):
    torch.manual_seed(0)
    return build("tf_gridnet", **(TINY | config)).eval()


def hiss(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def original():
    """Return weights, config, input and output of the original."""
    folder = PARITY / "tf_gridnet_v2"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    with np.load(folder / "weights.npz") as archive:
        weights = {key: torch.from_numpy(archive[key]) for key in archive.files}
    config = json.loads((folder / "about.json").read_text())["config"]
    x, theirs = (torch.from_numpy(np.load(folder / f"{which}.npy")) for which in ("input", "output"))
    return weights, config, x.unsqueeze(1), theirs


@pytest.mark.shared
def test_the_original_gives_the_same():
    weights, config, x, theirs = original()
    network = from_espnet(weights, config)
    with torch.no_grad():
        ours = network(x)
    assert float((ours - theirs).norm() / theirs.norm()) < 2e-6
    in_training = network(x).detach()
    assert float((in_training - theirs).norm() / theirs.norm()) < 2e-6
    assert n_parameters(network) == 15_200


@pytest.mark.shared
def test_the_whole_enhancement_model_can_be_given():
    weights, config, x, theirs = original()
    weights = {f"separator.{key}": value for key, value in weights.items()}
    network = from_espnet(weights, {"separator": "tfgridnetv2", "separator_conf": config, "fs": 16000})
    assert network.sample_rate == 16000
    with torch.no_grad():
        assert float((network(x) - theirs).norm() / theirs.norm()) < 2e-6


@pytest.mark.shared
def test_weights_that_do_not_fit_are_named():
    weights, config, *_ = original()
    with pytest.raises(ModelError, match=r"'blocks.0.intra_rnn.weight_ih_l0' is \(48, 8\), which the config makes"):
        from_espnet(weights, config | {"lstm_hidden_units": 16})
    with pytest.raises(ModelError, match=r"have no 'blocks.2.intra_norm.weight'"):
        from_espnet(weights, config | {"n_layers": 3})
    with pytest.raises(ModelError, match=r"'blocks.1.intra_norm.weight' has no place"):
        from_espnet(weights, config | {"n_layers": 1})


def test_settings_that_cannot_be_imported_are_named():
    with pytest.raises(ModelError, match="separator conformer cannot be imported"):
        from_espnet({}, {"separator": "conformer"})
    with pytest.raises(ModelError, match="emb_dims: no such setting of TFGridNetV2 \\(did you mean 'emb_dim'"):
        from_espnet({}, {"emb_dims": 8})
    with pytest.raises(ModelError, match="activation relu cannot be imported"):
        from_espnet({}, {"activation": "relu"})


def test_the_number_of_parameters_at_the_sizes_of_the_paper():
    with torch.device("meta"):
        assert n_parameters(build("tf_gridnet", n_fft=256)) == 8_239_810


@pytest.mark.parametrize(("kernel", "hop"), [(1, 1), (3, 1), (4, 2), (2, 2)])
def test_a_path_is_unfold_lstm_and_transposed_convolution(kernel, hop):
    torch.manual_seed(0)
    config = TFGridNetConfig(**(TINY | {"unfold": kernel, "unfold_hop": hop}))
    path, width = GridPath(config), config.embedding
    x = hiss(2, 40, 8, width)
    y = path.norm(x).flatten(0, 1).transpose(1, 2).unsqueeze(-1)  # (row, D, place, 1)
    y = torch.nn.functional.unfold(y, (kernel, 1), stride=(hop, 1))  # (row, D · I, step)
    y = y.unflatten(1, (width, kernel)).transpose(1, 2).flatten(1, 2).transpose(1, 2)
    y = path.lstm(y.transpose(0, 1))[0].permute(1, 2, 0)
    weight = path.out.weight.unflatten(0, (kernel, width)).permute(2, 1, 0)
    y = torch.nn.functional.conv_transpose1d(y, weight, stride=hop).transpose(1, 2).unflatten(0, (2, 40))
    expected = (x + y + path.bias[:width]).detach()
    torch.testing.assert_close(path(x).detach(), expected, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(path(x), expected, atol=1e-6, rtol=1e-5)


def test_the_level_goes_through():
    network, x = tiny(), hiss(1, 1, 500)
    with torch.no_grad():
        torch.testing.assert_close(network(0.01 * x), 0.01 * network(x), atol=1e-8, rtol=1e-4)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_filters_begin_as_each_voice_s_share_of_the_first_channel(n_channels):
    network = tiny(n_sources=2, n_channels=n_channels, filters=True)
    sound = hiss(1, n_channels, 2000)
    shares = sound[:, :1].expand(-1, 2, -1) / 2
    near = network(sound)
    torch.nn.init.zeros_(network.exit.weight)
    assert (near - shares).norm() < 0.3 * shares.norm()
    torch.testing.assert_close(network(sound), shares, atol=1e-6, rtol=1e-5)


def test_blocks_run_again_give_the_same_gradients():
    x = hiss(1, 1, 500)
    gradients = []
    for again in (False, True):
        network = tiny(n_blocks=2, checkpoint_blocks=again).train()
        network(x).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_impossible_sizes_are_told():
    for config, message in (
        ({"n_fft": 33}, "n_fft must be even"),
        ({"hop": 20}, "leaves gaps"),
        ({"unfold_hop": 4}, "skips places"),
        ({"n_heads": 3}, "does not divide into 3 heads"),
    ):
        with pytest.raises(ConfigError, match=message):
            build("tf_gridnet", **(TINY | config))

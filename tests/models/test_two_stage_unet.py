"""Two-stage U-Net: the original's numbers, mirrored edges, its two estimates, its weights from elsewhere."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.importers.two_stage_unet import from_two_stage_unet  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402
from resound.models.two_stage_unet import convolve, mirrored  # noqa: E402

TINY = {"n_fft": 64, "hop": 16, "widths": [6, 8, 8], "num_tfc": 1, "depth": 1}
PARITY = Path(os.environ.get("RESOUND_PARITY", Path(__file__).parents[2] / ".." / "shared" / "parity"))


def tiny(**config):
    torch.manual_seed(0)
    return build("two_stage_unet", **(TINY | config)).eval()


def hiss(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def original():
    """Return weights and config of the original, and a function that reads one of its numbers."""
    folder = PARITY / "two_stage_unet"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    with np.load(folder / "weights.npz") as archive:
        weights = {key: torch.from_numpy(archive[key]) for key in archive.files}
    config = json.loads((folder / "about.json").read_text())["config"]
    return weights, config, lambda name: torch.from_numpy(np.load(folder / f"{name}.npy"))


def differ(ours, theirs):
    return float((ours - theirs).detach().norm() / theirs.norm())


@pytest.mark.shared
def test_the_original_gives_the_same():
    weights, config, read = original()
    network = from_two_stage_unet(weights, config)
    x = read("input_waveform").unsqueeze(1)
    with torch.no_grad():
        first, second = (estimate.permute(0, 3, 2, 1) for estimate in network.estimates(x))
        assert differ(first, read("stage1_out")) < 2e-6
        assert differ(second, read("spectrogram_out")) < 5e-6
        assert differ(network(x)[:, 0], read("output_waveform")) < 5e-6
    assert differ(network(x)[:, 0], read("output_waveform")) < 5e-6  # in training, by other code
    assert n_parameters(network) == 338_244


@pytest.mark.shared
def test_weights_that_do_not_fit_are_named():
    weights, config, _ = original()
    with pytest.raises(ModelError, match=r"0004:.*conv2d_2/kernel' is \(1, 1, 32, 32\), the config has a kernel"):
        from_two_stage_unet(weights, config | {"num_tfc": 2})
    with pytest.raises(ModelError, match=r"0022:.*has no place in the network"):
        from_two_stage_unet(weights, config | {"num_stages": 1})
    with pytest.raises(ModelError, match="the weights end before a bias of e__block"):
        from_two_stage_unet(dict(list(weights.items())[:7]), config)


def test_settings_of_the_original_that_cannot_be_imported_are_named():
    with pytest.raises(ModelError, match="use_tdf True cannot be imported"):
        from_two_stage_unet({}, {"use_tdf": True})
    with pytest.raises(ModelError, match="dept: no such setting of the original \\(did you mean 'depth'"):
        from_two_stage_unet({}, {"dept": 3})


@pytest.mark.parametrize(("config", "count"), [((3, 1), 1_880_388), ((6, 3), 71_408_196)])
def test_the_number_of_parameters_is_that_of_the_original(config, count):
    depth, num_tfc = config
    with torch.device("meta"):
        assert n_parameters(build("two_stage_unet", depth=depth, num_tfc=num_tfc)) == count


def test_edges_are_mirrored_with_the_outermost_value():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    expected = np.pad(x[0, 0].numpy(), ((3, 3), (3, 3)), mode="symmetric")
    assert np.array_equal(mirrored(7, x)[0, 0].numpy(), expected)
    expected = np.pad(x[0, 0].numpy(), ((2, 1), (2, 1)), mode="symmetric")
    assert np.array_equal(mirrored(4, x)[0, 0].numpy(), expected)


def test_the_gradient_by_hand_is_that_of_the_parts():
    parts = [hiss(2, 3, 2, 5).double().requires_grad_(), hiss(2, 2, 2, 5, seed=1).double().requires_grad_()]
    weight, bias = hiss(4, 5, 4, 4).double().requires_grad_(), hiss(4).double().requires_grad_()

    def function(weight, bias, *parts):
        return convolve(weight, bias, 2, *parts)

    assert torch.autograd.gradcheck(function, (weight, bias, *parts))
    assert torch.equal(convolve(weight, bias, 2, *parts).detach(), no_grad(function, weight, bias, *parts))


def no_grad(function, *arguments):
    with torch.no_grad():
        return function(*arguments)


def test_both_estimates_have_the_shape_of_the_target():
    network, x = tiny(), hiss(2, 1, 1000)
    target = network.spectrogram(x)
    first, second = network.estimates(x)
    assert first.shape == second.shape == target.shape == (2, 2, 33, 66)


def test_the_loss_on_both_estimates_reaches_every_parameter_without_attention():
    network, x = tiny(use_sam=False), hiss(1, 1, 1000)
    sum(estimate.abs().mean() for estimate in network.estimates(x)).backward()
    assert all(bool((parameter.grad != 0).any()) for parameter in network.parameters())


@pytest.mark.parametrize("n_stages", [1, 2])
def test_filters_begin_near_to_the_recording(n_stages):
    x = hiss(1, 1, 4000)
    with torch.no_grad():
        assert differ(tiny(n_stages=n_stages, filters=True, exponent=0.5)(x), x) < 0.1
        assert differ(tiny(n_stages=n_stages)(x), x) > 0.5  # as published


def test_what_goes_in_as_a_spectrogram_comes_out_as_the_same_sound(monkeypatch):
    network, x = tiny(), hiss(1, 1, 777)
    monkeypatch.setattr(network, "_estimates", lambda spectrum: (spectrum,))
    torch.testing.assert_close(network(x), x, atol=1e-6, rtol=1e-5)  # the first samples too


def test_impossible_sizes_are_told():
    for config, message in (
        ({"n_fft": 65}, "n_fft must be even"),
        ({"hop": 48}, "leaves gaps"),
        ({"depth": 3}, "depth 3 needs 4 widths, got 3"),
        ({"n_fft": 8, "hop": 2, "depth": 4, "widths": [4] * 5}, "to nothing"),
        ({"n_channels": 2}, "n_channels"),
        ({"exponent": 0.5}, "exponent 0.5 is for filters alone"),
    ):
        with pytest.raises(ConfigError, match=message):
            build("two_stage_unet", **(TINY | config))

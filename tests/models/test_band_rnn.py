"""BandRNN: its bands, its filter, its level."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.band_rnn import BandRNNConfig, band_weights, running_mean  # noqa: E402

SMALL = {"sample_rate": 16000, "hop": 80, "n_narrow": 12, "n_bands": 24, "channels": [8, 8], "band_hidden": 4}
SIZES = [{}, {"n_narrow": 56, "n_bands": 96}, {"hop": 160, "n_narrow": 32, "n_bands": 64}, SMALL]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("band_rnn", **SMALL, n_blocks=1).eval()


def noise(n_samples: int = 16000) -> torch.Tensor:
    sound = torch.randn(1, 1, n_samples, generator=torch.Generator().manual_seed(1))
    return sound / sound.abs().max()


@pytest.mark.parametrize("sizes", SIZES)
def test_bands_cover_every_bin_and_add_up_to_one(sizes):
    weights = band_weights(BandRNNConfig(**sizes))
    assert (weights >= 0).all()
    assert (weights.sum(dim=1) > 0).all()  # every bin, the last too
    assert torch.allclose(weights.sum(dim=0), torch.ones(weights.shape[1]))


def test_of_each_bin_the_filters_of_bands_add_up_to_one(network):
    assert torch.allclose(network.to_bins.sum(dim=0), torch.ones(network.config.hop + 1))


def test_it_begins_near_to_the_input(network):
    sound = 0.1 * noise()
    with torch.inference_mode():
        error = network(sound) - sound
    assert error.norm() < 0.05 * sound.norm()
    torch.nn.init.zeros_(network.leave.weight)  # what is left is the filter of 1
    with torch.inference_mode():
        assert torch.allclose(network(sound), sound, atol=1e-6)


def test_shrinkage_leaves_what_is_nearly_passing_and_hardly_what_is_not():
    plain, shrunk = (build("band_rnn", **SMALL, n_blocks=1, shrinkage=at).eval() for at in (0.0, 0.1))
    shrunk.load_state_dict(plain.state_dict())
    sound, errors = 0.1 * noise(), {}
    with torch.inference_mode():
        for size in (0.01, 0.3):  # how far from passing
            for network in (plain, shrunk):
                torch.nn.init.zeros_(network.leave.weight)
                network.leave.bias.copy_(network.passing[:, 0])
                network.leave.bias[2 * network._middle] -= size
            errors[size] = [(network(sound) - sound).norm() / sound.norm() for network in (plain, shrunk)]
    assert errors[0.01][0] == pytest.approx(0.01, rel=1e-3)
    assert errors[0.01][1] == pytest.approx(0.01 * 0.01**2 / (0.01**2 + 0.1**2), rel=1e-2)  # 40 dB less
    assert errors[0.3][1] == pytest.approx(0.3 * 0.9, rel=1e-3)


def test_filters_learn_as_if_they_were_not_shrunk():
    networks = [build("band_rnn", **SMALL, n_blocks=1, shrinkage=at).eval() for at in (0.0, 1.0)]
    networks[1].load_state_dict(networks[0].state_dict())
    for network in networks:
        network(0.1 * noise()).sum().backward()  # a loss whose gradient is the same wherever it is
    plain, shrunk = (network.leave.weight.grad for network in networks)
    assert plain.abs().max() > 1e-3
    assert torch.allclose(plain, shrunk, rtol=1e-3, atol=1e-5 * plain.abs().max())


def test_of_several_voices_each_begins_as_its_share_of_the_input():
    network = build("band_rnn", **SMALL, n_blocks=1, n_sources=2, both_ways=True).eval()
    torch.nn.init.zeros_(network.leave.weight)
    sound = 0.1 * noise()
    with torch.inference_mode():
        voices = network(sound)
    assert torch.allclose(voices, sound.expand_as(voices) / 2, atol=1e-6)


def test_of_two_channels_it_begins_as_the_first_and_hears_the_other():
    torch.manual_seed(0)
    network = build("band_rnn", **SMALL, n_blocks=1, n_channels=2).eval()
    denoised, noisy = 0.1 * noise(8000), 0.2 * noise(8000).flip(-1)
    with torch.inference_mode():
        near = network(torch.cat([denoised, noisy], dim=1))
        other = network(torch.cat([denoised, -noisy], dim=1))  # as loud: the level that it divides by is that of both
        torch.nn.init.zeros_(network.leave.weight)
        alone = network(torch.cat([denoised, noisy], dim=1))
    assert (near - denoised).norm() < 0.1 * denoised.norm()
    assert (near - other).norm() > 1e-3 * denoised.norm()
    assert torch.allclose(alone, denoised, atol=1e-6)


def test_both_ways_it_hears_what_follows_and_does_not_stream():
    network = build("band_rnn", **SMALL, n_blocks=1, both_ways=True, time_hidden=5).eval()
    assert not network.is_causal and "both ways" in network.looks_ahead
    sound = noise(8000)
    changed = torch.cat([sound[..., :6000], torch.zeros(1, 1, 2000)], dim=-1)
    with torch.inference_mode():
        error = (network(sound) - network(changed))[..., 5000:5600]  # two hops and more before the change
    assert error.abs().max() > 1e-6


@pytest.mark.parametrize("gain", [1e-3, 1e-2, 0.1, 0.5])
def test_what_is_quieter_comes_out_quieter_by_as_much(network, gain):
    sound = noise(8000)
    with torch.inference_mode():
        loud, quiet = network(sound), network(gain * sound)
    assert (quiet / gain - loud).norm() < 1e-5 * loud.norm()


def test_nothing_is_low_passed(network):
    sound = 0.1 * noise(32000)
    with torch.inference_mode():
        out = network(sound)
    window = torch.hann_window(160)
    before, after = (torch.stft(x[0], 160, 80, window=window, return_complex=True).abs() for x in (sound, out))
    gain_db = 20 * torch.log10(after.square().mean(dim=(0, 2)).sqrt() / before.square().mean(dim=(0, 2)).sqrt())
    assert gain_db.abs().max() < 0.5, gain_db


def test_the_running_mean_is_that_of_a_loop_however_it_is_cut():
    values = torch.rand(2, 150, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    decay, sums, expected = 0.97, torch.zeros(2, 2, dtype=torch.float64), []
    for value in values.unbind(dim=1):
        sums = decay * sums + torch.stack([value, torch.ones_like(value)], dim=1)
        expected.append(sums[:, 0] / sums[:, 1])
    start = torch.zeros(2, 2, dtype=torch.float64)
    whole, _ = running_mean(values, start, decay)
    parts, state = [], start
    for part in values.split([1, 2, 70, 64, 13], dim=1):
        mean, state = running_mean(part, state, decay)
        parts.append(mean)
    assert torch.allclose(whole, torch.stack(expected, dim=1), rtol=1e-6)
    assert torch.allclose(whole, torch.cat(parts, dim=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"n_bands": 26}, "n_bands must be a multiple of 4 .* got 26"),
        ({"shrinkage": 0.1, "n_sources": 2}, "shrinkage 0.1 is towards what passes all, which 2 voices cannot"),
        ({"kernel": 4}, "kernel must be odd, got 4"),
        ({"n_narrow": 24}, "n_narrow 24 < n_bands 24 <= hop 80 does not hold"),
        ({"n_bands": 84}, "n_narrow 12 < n_bands 84 <= hop 80 does not hold"),
        ({"n_narrow": 19, "n_bands": 20}, "n_bands 20: too few for 81 bins of which 19"),
        ({"filter_frames": 4}, r"filter_frames 4: at most lookahead_frames \+ 2 = 3"),
    ],
)
def test_impossible_sizes_are_told(sizes, told):
    with pytest.raises(ConfigError, match=told):
        build("band_rnn", **{**SMALL, **sizes})

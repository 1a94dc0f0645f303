"""The timbre generator: causal to the sample, the same at any level, small, and near to its input at first."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402

TINY = {"sample_rate": 8000, "widths": [4, 6, 8], "strides": [2, 3, 4], "kernel": 5, "gru_layers": 2}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("timbre", **TINY).eval()


def sound(n_samples: int, *, batch_size: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch_size, 2, n_samples, generator=torch.Generator().manual_seed(1))


def test_the_parameters_are_about_three_and_a_half_million():
    with torch.device("meta"):
        network = build("timbre")
    pairs, gates, gru = [(64, 128), (128, 256), (256, 512)], 3 * 512, 2
    separable = sum(2 * (one * other) + 2 * 7 * one + other + one + 2 * one for one, other in pairs)
    ends = 2 * 7 * 64 + 64 + 7 * 64
    assert n_parameters(network) == separable + ends + gru * gates * (2 * 512 + 2) == 3_505_856


def test_a_frame_is_ten_milliseconds_and_nothing_is_late():
    with torch.device("meta"):
        network = build("timbre")
    assert (network.hop_samples, network.sample_rate, network.latency_samples) == (480, 48000, 0)


def test_not_even_the_rest_of_a_frame_is_seen(network):
    x = sound(2000)
    with torch.no_grad():
        before = network(x)
        for position in (500, 501, 509, 511):
            changed = x.clone()
            changed[..., position + 1 :] = 0
            torch.testing.assert_close(
                network(changed)[..., : position + 1], before[..., : position + 1], atol=1e-7, rtol=0
            )


@pytest.mark.parametrize("gain", [2.0, 10 ** (-50 / 20), 30.0])
def test_a_gain_in_is_that_gain_out(network, gain):
    x = sound(2400)
    with torch.no_grad():
        torch.testing.assert_close(network(gain * x) / gain, network(x), atol=1e-6, rtol=1e-4)


def test_silence_stays_silent(network):
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 1000)).abs().max() < 1e-9  # -180 dB: the floor below a frame's RMS


def test_a_fresh_one_is_near_to_the_denoised_input(network):
    x = sound(4800)
    with torch.no_grad():
        correction = network(x) - x[:, :1]
    assert 0 < correction.square().mean() < 0.03 * x.square().mean()


def test_both_inputs_count(network):
    x = sound(1000)
    with torch.no_grad():
        for channel in (0, 1):
            other = x.clone()
            other[:, channel] = 0
            assert (network(other) - network(x)).abs().max() > 1e-4


def test_a_stream_sees_weights_that_changed_under_it(network):
    frame, state = sound(network.hop_samples), network.init_state()
    with torch.no_grad():
        before, _ = network.step(frame, state)
        network.down[0].pointwise.gain.mul_(2)
        after, _ = network.step(frame, state)
        torch.testing.assert_close(after, network(frame))
    assert (after - before).abs().max() > 1e-4


def test_no_level_is_lost_on_the_way_at_first(network):
    levels = {}

    def listen(name):
        return lambda part, _, out: levels.update({name: out[0].std()})

    for name, part in network.named_modules():
        if name.startswith(("down.", "up.")) and name.count(".") == 1:
            part.register_forward_hook(listen(name))
    network(sound(1600))
    correction = network(sound(1600)) - sound(1600)[:, :1]
    assert all(0.03 < level < 0.3 for level in levels.values()), levels  # of an input at 0.1
    assert 1e-3 < correction.std() < 3e-2  # and what comes out is near to what went in


def test_weights_are_normalised(network):
    part = network.down[0].pointwise
    with torch.no_grad():
        length = torch.linalg.vector_norm(part.weight(), dim=1)
        torch.testing.assert_close(length, part.gain)
        part.direction.mul_(3)
        torch.testing.assert_close(torch.linalg.vector_norm(part.weight(), dim=1), length)


def test_long_and_short_blocks_take_the_same_weights(network):
    part = network.down[0].depthwise
    x = torch.randn(2, 1500, 4)
    with torch.no_grad():
        long = part(x)
        short = torch.cat([part(x[:, start : start + 302]) for start in range(0, 1200, 300)], dim=1)
    torch.testing.assert_close(short, long[:, :400], atol=1e-6, rtol=1e-5)


def test_without_the_noisy_input_it_takes_one_channel():
    assert build("timbre", **TINY | {"n_channels": 1})(torch.randn(1, 1, 500)).shape == (1, 1, 500)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_sources": 2}, "n_sources must be 1"),
        ({"strides": [2, 3]}, "widths and strides must be as many, got 3 and 2"),
        ({"strides": [2, 3, 6]}, "stride 6 leaves gaps between kernels of 5"),
        ({"strides": [2, 3, 0]}, "must be at least 1"),
        ({"widths": [], "strides": []}, "widths and strides must be as many"),
    ],
)
def test_impossible_sizes_are_told(config, message):
    with pytest.raises(ConfigError, match=message):
        build("timbre", **TINY | config)


@pytest.mark.parametrize("n_samples", [0, 23, 25])
def test_a_frame_of_another_length_is_told(network, n_samples):
    with pytest.raises(ModelError, match="a multiple of 24"):
        network.step(sound(n_samples), network.init_state())

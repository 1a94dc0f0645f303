"""GateWave: its size, its level, its two forms."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError, ModelError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402


@pytest.mark.parametrize(("causal", "expected"), [(False, 270_174), (True, 220_278)])
def test_the_default_sizes(causal, expected):
    network = build("gatewave", causal=causal)
    assert n_parameters(network) == expected
    assert network.config.channels == [32, 52, 84]  # × 1.618
    assert network.hop_samples == 64
    assert (network.is_causal, network.latency_samples) == (causal, 0)


@pytest.mark.parametrize("causal", [False, True])
def test_twice_the_input_is_twice_the_output_where_the_floor_does_not_count(causal):
    torch.manual_seed(0)
    network = build("gatewave", hidden=4, causal=causal, floor=1e-9).eval()
    x = 0.1 * torch.randn(1, 1, 2000)
    with torch.no_grad():
        torch.testing.assert_close(network(2 * x), 2 * network(x), atol=1e-6, rtol=1e-4)


def test_the_form_that_looks_both_ways_hears_the_future_and_the_causal_one_does_not():
    x = torch.randn(1, 1, 640)
    changed = x.clone()
    changed[..., 384:] *= -1
    for causal in (False, True):
        torch.manual_seed(0)
        network = build("gatewave", hidden=4, causal=causal).eval()
        with torch.no_grad():
            assert torch.equal(network(x)[..., :384], network(changed)[..., :384]) == causal


@pytest.mark.parametrize("causal", [False, True])
def test_a_residual_one_adds_what_it_gives_to_the_first_channel(causal):
    torch.manual_seed(0)
    config = {"hidden": 4, "n_channels": 2, "n_sources": 2, "causal": causal}
    residual = build("gatewave", **config, residual=True).eval()
    plain = build("gatewave", **config).eval()
    plain.load_state_dict(residual.state_dict())
    x = 0.1 * torch.randn(2, 2, 3000)
    with torch.no_grad():
        torch.testing.assert_close(residual(x), x[:, :1] + plain(x))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kernel": 3}, "stride 4 leaves gaps between kernels of 3"),
        ({"causal": True, "normalisation": "whole"}, "normalisation 'whole' knows the future"),
    ],
)
def test_impossible_sizes_are_told(config, message):
    with pytest.raises(ConfigError, match=message):
        build("gatewave", **config)


def test_what_knows_the_future_does_not_stream():
    with pytest.raises(ModelError, match="build it with causal=true"):
        build("gatewave", hidden=2).init_state()


def test_a_step_of_half_a_hop_is_refused():
    network = build("gatewave", hidden=2, causal=True).eval()
    with pytest.raises(ModelError, match="a multiple of 64"):
        network.step(torch.zeros(1, 1, 32), network.init_state())

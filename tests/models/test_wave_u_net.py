"""Wave-U-Net: the paper's size, its interpolation, and sources that add up."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.models import build  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402
from resound.models.wave_u_net import _twice  # noqa: E402


def by_hand(n_in: int, n_out: int, levels: int = 12, extra: int = 24, down: int = 15, up: int = 5) -> int:
    """Count the weights and biases of the table in the paper."""
    widths = [extra * level for level in range(levels + 2)]
    total = sum(down * (widths[i] or n_in) * widths[i + 1] + widths[i + 1] for i in range(levels + 1))
    total += sum(up * (widths[i + 1] + widths[i]) * widths[i] + widths[i] for i in range(1, levels + 1))
    return total + (extra + n_in) * n_out + n_out


@pytest.mark.parametrize(("n_channels", "n_sources"), [(1, 1), (2, 4)])
def test_the_paper_s_size_has_the_paper_s_number_of_parameters(n_channels, n_sources):
    with torch.device("meta"):
        network = build("wave_u_net", n_channels=n_channels, n_sources=n_sources)
    assert n_parameters(network) == by_hand(n_channels, n_sources)
    if n_channels == 1:
        assert n_parameters(network) == 10_263_002


def test_interpolation_gives_a_straight_line_back():
    line = torch.arange(10.0).view(1, 1, -1)
    torch.testing.assert_close(_twice(line)[0, 0, :-1], 0.5 * torch.arange(19.0))
    assert _twice(line)[0, 0, -1] == 9  # what follows is not known


def test_with_difference_the_sources_add_up_to_the_mixture_in_each_channel():
    torch.manual_seed(0)
    network = build("wave_u_net", n_levels=2, extra_filters=3, n_channels=2, n_sources=6, difference=True).eval()
    x = torch.randn(2, 2, 101)
    with torch.no_grad():
        sources = network(x).unflatten(1, (3, 2))
    torch.testing.assert_close(sources.sum(dim=1), x, atol=1e-6, rtol=1e-5)


def test_tanh_keeps_the_output_within_full_scale():
    torch.manual_seed(0)
    x = 1000 * torch.randn(1, 1, 64)
    for tanh in (True, False):
        network = build("wave_u_net", n_levels=2, extra_filters=3, tanh=tanh).eval()
        with torch.no_grad():
            assert (network(x).abs().max() <= 1) == tanh


@pytest.mark.parametrize("config", [{"n_levels": 1, "kernel_down": 3, "kernel_up": 1}, {"n_levels": 3}])
def test_the_receptive_field_is_reached_somewhere_between_the_decimations(config):
    torch.manual_seed(0)
    network = build("wave_u_net", extra_filters=2, **config).double()
    n_samples = 2 * network.receptive_field_samples + 32
    widths = []
    for phase in range(2 ** config["n_levels"]):
        x = torch.randn(1, 1, n_samples, dtype=torch.float64, requires_grad=True)
        network(x)[0, 0, n_samples // 2 + phase].backward()
        seen = torch.nonzero(x.grad[0, 0]).flatten()
        widths.append(int(seen[-1] - seen[0]) + 1)
    assert max(widths) == network.receptive_field_samples


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kernel_down": 4}, r"kernel_down must be odd"),
        ({"kernel_up": 2}, r"kernel_up must be odd"),
        ({"difference": True}, r"difference needs n_sources 2, 3 ... times n_channels, got 1 and 1"),
        ({"difference": True, "n_channels": 2, "n_sources": 3}, r"got 3 and 2"),
    ],
)
def test_impossible_sizes_are_told(config, message):
    with pytest.raises(ConfigError, match=message):
        build("wave_u_net", **config)


def test_the_signal_is_not_lost_among_biases_at_first():
    torch.manual_seed(0)
    network = build("wave_u_net", n_levels=7, extra_filters=12)
    levels = []
    for part in (*network.down, network.bottom, *network.up):
        part.register_forward_hook(
            lambda _, __, out: levels.append(float(out.detach().std(dim=-1).square().mean().sqrt()))
        )
    network(0.1 * torch.randn(2, 1, 8192))
    assert len(levels) == 15 and all(0.03 < level < 0.3 for level in levels), levels

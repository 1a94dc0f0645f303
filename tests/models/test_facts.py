"""What `resound models show` tells, against counts by hand."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from resound.models import build  # noqa: E402
from resound.models.facts import facts_of, frame_seconds, macs, real_time_factor, training_bytes  # noqa: E402
from resound.models.network import Network, NetworkConfig, n_parameters  # noqa: E402

TIMBRE = {"sample_rate": 8000, "widths": [4, 6, 8], "strides": [2, 3, 4], "kernel": 5, "gru_layers": 1}


class Convolution(Network):
    """Five taps from one channel to three, and a 1x1 back."""

    def __init__(self) -> None:
        super().__init__(NetworkConfig())
        self.wide, self.narrow = torch.nn.Conv1d(1, 3, 5, padding=2), torch.nn.Conv1d(3, 1, 1)

    def process(self, waveform):
        return self.narrow(self.wide(waveform).relu())


class Recurrent(Network):
    """Two layers of an LSTM both ways over frames of ten samples."""

    def __init__(self) -> None:
        super().__init__(NetworkConfig())
        self.lstm = torch.nn.LSTM(10, 7, 2, batch_first=True, bidirectional=True)

    def process(self, waveform):
        return self.lstm(waveform.unflatten(-1, (-1, 10)).squeeze(1))[0].flatten(1).unsqueeze(1)


class Attention(Network):
    """Two heads of width four over frames of eight samples."""

    def __init__(self) -> None:
        super().__init__(NetworkConfig())
        self.query = torch.nn.Linear(8, 8, bias=False)

    def process(self, waveform):
        frames = waveform.unflatten(-1, (-1, 8)).squeeze(1)
        heads = self.query(frames).unflatten(-1, (2, 4)).transpose(1, 2)
        return functional.scaled_dot_product_attention(heads, heads, heads).flatten(1).unsqueeze(1)


BY_HAND = {
    Convolution: (1000, 1000 * (5 * 3 + 3)),
    Recurrent: (200, 20 * 2 * 4 * 7 * ((10 + 7) + (2 * 7 + 7))),
    Attention: (800, 100 * 8 * 8 + 2 * (2 * 100 * 100 * 4)),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("kind", BY_HAND, ids=lambda kind: kind.__name__)
def test_multiply_adds_are_those_counted_by_hand(kind, device):
    n_samples, expected = BY_HAND[kind]
    with torch.device(device):
        network = kind()
    assert macs(network, n_samples) == expected


def test_recurrent_layers_are_counted_as_torch_itself_would():
    with torch.device("meta"):
        network, x = Recurrent(), torch.zeros(1, 1, 500)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.process(x)
    assert macs(network, 500) == counter.get_total_flops() // 2


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_memory_of_a_step_is_what_its_layers_keep(device):
    with torch.device(device):
        network = Convolution()
    n_samples = 1000
    kept = n_samples + 3 * n_samples + 1 * n_samples  # the input, after the ReLU, and what the loss squares
    assert training_bytes(network, n_samples) == 4 * kept + 4 * 4 * n_parameters(network)


def test_work_and_memory_grow_with_the_length():
    network = build("timbre", **TIMBRE)
    assert macs(network, 48000) == pytest.approx(2 * macs(network, 24000), rel=0.02)
    weights = 16 * n_parameters(network)
    long, short = training_bytes(network, 48000) - weights, training_bytes(network, 24000) - weights
    assert long == pytest.approx(2 * short, rel=0.1)


def test_what_is_counted_without_values_is_what_is_counted_with():
    with torch.device("meta"):
        shapes = build("timbre", **TIMBRE)
    network = build("timbre", **TIMBRE)
    assert macs(shapes, 4800) == macs(network, 4800)


def test_the_facts_of_a_network_are_its_own():
    facts = facts_of("timbre", TIMBRE)
    assert (facts.network, facts.sample_rate, facts.n_channels, facts.n_sources) == ("timbre", 8000, 2, 1)
    assert (facts.causal, facts.latency_ms, facts.hop_ms, facts.receptive_field_ms) == (True, 0.0, 3.0, None)
    assert facts.parameters == n_parameters(build("timbre", **TIMBRE))


def test_looking_leaves_a_network_as_it_was():
    network = build("timbre", **TIMBRE).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    training_bytes(network, 480)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_times_are_above_zero():
    network = build("timbre", **TIMBRE).eval()
    assert 0 < real_time_factor(network, seconds=0.1, rounds=1) < 100
    assert 0 < frame_seconds(network, rounds=2) < 10
    assert frame_seconds(Convolution()) is None

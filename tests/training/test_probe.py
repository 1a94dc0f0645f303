"""The probes try a real network, tiny, on real examples, short: what they measure is so."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from torch import nn  # noqa: E402

from resound.models.network import Network, NetworkConfig  # noqa: E402
from resound.training import probe  # noqa: E402
from resound.training.probe import few_examples, future_db, gains_of, losses_of_answers, probe_evidence  # noqa: E402
from resound.training.tasks import task_of  # noqa: E402


class Filter(Network):
    """One convolution that looks so many samples ahead, whatever it says."""

    is_causal = True

    def __init__(self, ahead=0, bias=0.0):
        super().__init__(NetworkConfig())
        self.ahead, self.bias = ahead, bias
        self.layer = nn.Conv1d(1, 1, 8, bias=False)

    def process(self, waveform):
        return self.layer(nn.functional.pad(waveform, (7 - self.ahead, self.ahead))) + self.bias


@pytest.mark.parametrize("task", ["enhance", "separate"])
def test_a_tiny_network_is_tried(plan, task, monkeypatch):
    monkeypatch.setattr(probe, "MOST_STEPS", 15)
    found = probe_evidence(plan("optimiser.lr=1e-2", task=task))
    assert found.losses["right"] < found.losses["silence"] and found.losses["right"] < found.losses["noisy"]
    assert found.gain_db > 0 and 1 <= found.n_steps <= 15
    assert not found.not_finite and found.n_parameters > 10
    assert found.repeat_difference == 0 and found.example_seconds > 0 and found.step_seconds > 0


def test_a_rate_of_nothing_learns_nothing(plan, monkeypatch):
    monkeypatch.setattr(probe, "MOST_STEPS", 3)
    assert probe_evidence(plan("optimiser.lr=1e-12")).gain_db == pytest.approx(0, abs=1e-3)


def test_what_is_cut_off_gets_no_gradient(plan):
    config = plan()
    task = task_of(probe.initial_network(config), config)
    task.network.spare = nn.Linear(2, 2)
    batch, _ = few_examples(config, task.device)
    without, not_finite = probe.gradients_of(task, batch)
    assert {"spare.weight", "spare.bias"} <= set(without) and not not_finite


@pytest.mark.parametrize("ahead", [1, 3, 7])
def test_a_look_ahead_moves_the_past(ahead):
    torch.manual_seed(0)
    assert future_db(Filter()) < -120
    assert future_db(Filter(ahead)) > -60


def test_gains_are_those_of_a_filter_at_any_level():
    gains = gains_of(Filter(), torch.randn(1, 1, 4000))
    assert max(gains.values()) - min(gains.values()) < 1e-3
    biased = gains_of(Filter(bias=0.01), torch.randn(1, 1, 4000))
    assert biased[-50] - biased[0] > 3


def test_the_two_stage_loss_knows_the_right_answer(corpora, tmp_path):
    from resound.training.config import load_run_config

    words = ["config={sample_rate: 8000, n_fft: 128, hop: 32, depth: 1, num_tfc: 1, widths: [2, 2]}"]
    words += [
        "data.segment_seconds=1",
        "data.clean={corpus: <speech>, domain: speech}",
        "data.chain=[hiss: {snr_db: 10}]",
    ]
    words += ["data.same_on_target=[]"]
    config = load_run_config("film-prototype", words, corpora=corpora)
    task = task_of(probe.initial_network(config), config)
    losses = losses_of_answers(task, few_examples(config, task.device)[0])
    assert losses["right"] < 1e-6 < losses["noisy"] < losses["silence"]

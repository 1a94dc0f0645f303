"""Where stages run before a network when it restores, it is judged and listened to behind them."""

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.inference.pipeline import restore  # noqa: E402
from resound.judging.scores import si_sdr  # noqa: E402
from resound.mixing.cache import open_cache  # noqa: E402
from resound.models.network import Network, NetworkConfig  # noqa: E402
from resound.training import judge as judge_module  # noqa: E402
from resound.training.judge import Judge  # noqa: E402
from resound.training.listening import Listening, behind_stages  # noqa: E402

DEHISS = "after={order: [dehiss], dehiss: {max_reduction_db: 12}}"


class AsItWas(Network):
    """Gives what it hears."""

    def process(self, waveform):
        return waveform


@pytest.fixture
def examples(plan):
    config = plan()
    return open_cache(config.validation_mixing, config.validation.n_examples, n_jobs=1)


def network_at(sample_rate):
    return AsItWas(NetworkConfig(sample_rate=sample_rate))


def gain_of_stages(examples, config):
    """What the stages alone are worth."""
    gains = []
    for index in range(examples.n_examples):
        example = examples.example(0, index)
        stages_alone = restore(example.degraded, example.sample_rate, "classic", config=config.after)
        noisy, better = (si_sdr(each.astype("f8"), example.clean) for each in (example.degraded, stages_alone))
        gains.append(float(np.mean(better) - np.mean(noisy)))
    return gains


def test_validation_hears_what_restoring_hears(plan, examples):
    config = plan(DEHISS)
    judge = Judge(config, examples)
    network = network_at(examples.sample_rate)
    gains = gain_of_stages(examples, config)
    assert np.abs(gains).max() > 0.3  # else this test says nothing
    for _ in range(2):  # the second time from memory
        found = judge(network, torch.device("cpu")).overall["si_sdr_i"].mean
        assert found == pytest.approx(np.mean(gains), abs=1e-3)
    assert Judge(plan(), examples)(network, torch.device("cpu")).overall["si_sdr_i"].mean == pytest.approx(0, abs=1e-3)


def test_the_time_that_is_left_is_that_of_validations_whose_stages_have_run(plan, examples, monkeypatch):
    def slow(stages, samples, sample_rate):
        time.sleep(1)
        return samples

    monkeypatch.setattr(judge_module, "after_stages", slow)
    judge = Judge(plan(DEHISS), examples)
    began = time.monotonic()
    judge(network_at(examples.sample_rate), torch.device("cpu"))
    whole = time.monotonic() - began
    assert 0 < judge.seconds <= whole - examples.n_examples  # each of the stages took a second


def test_listening_hears_what_restoring_hears(plan, examples, tmp_path):
    config = plan(DEHISS)
    listening = Listening(config, tmp_path, examples)
    (sound,) = listening._sounds.values()
    example = examples.example(0, 0)
    (fed,) = sound.fed
    assert np.array_equal(fed, restore(example.degraded, example.sample_rate, "classic", config=config.after))
    assert np.array_equal(sound.given, example.degraded)  # "before" is the recording


def test_both_channels_of_a_recording_go_through_the_stages_together(plan, tmp_path):
    config = plan(DEHISS)
    left, right = (np.random.default_rng(seed).standard_normal((1, 8000)).astype("f4") * 0.1 for seed in (0, 1))
    fed = behind_stages([left, right], config, 8000)
    whole = restore(np.concatenate([left, right]), 8000, "classic", config=config.after)
    assert [part.shape for part in fed] == [(1, 8000)] * 2 and np.array_equal(np.concatenate(fed), whole)


def test_stages_before_a_network_that_separates_are_refused(plan):
    with pytest.raises(ConfigError, match="after is for task enhance"):
        plan(DEHISS, task="separate")

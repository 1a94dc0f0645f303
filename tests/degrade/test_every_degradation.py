"""What holds for each degradation there is, whatever it draws and whatever it is given."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from resound.degrade.catalogue import settings_of, summary
from resound.degrade.chain import DEGRADATIONS, apply_chain, apply_chain_to_pair, n_samples_needed, read_degradation
from resound.errors import ConfigError, InputError, ResoundError

RATES = [8000, 16000, 22050, 44100, 48000, 96000, 192000]
LENGTHS = [0, 1, 3, 1000, 20000]
ODD = [-1, 0, 1e30, -1e30, 1e-30, float("nan"), 2**64, 10**400, True, None, [], "\0"]


@pytest.fixture(scope="session")
def bank(tmp_path_factory):
    """A folder of short sounds, for what draws from one."""
    import soundfile

    folder = tmp_path_factory.mktemp("bank")
    rng = np.random.default_rng(0)
    for index, rate in enumerate((8000, 16000, 44100)):
        decay = np.exp(-np.arange(rate) / rate * 8)
        soundfile.write(folder / f"{index}.wav", 0.3 * rng.standard_normal(rate) * decay, rate)
    return str(folder)


def made(name, bank):
    needs_bank = any(setting.name == "bank" for setting in settings_of(name))
    return read_degradation(name, {"bank": bank} if needs_bank else None)


def sound(n_samples, n_channels, seed=0):
    """Noise that swells and falls, its peak at 0.5."""
    rng = np.random.default_rng(seed)
    swell = np.sin(np.pi * (np.arange(n_samples) + 0.5) / max(1, n_samples)) ** 2
    samples = rng.standard_normal((n_channels, n_samples)) * (0.05 + swell)
    return (0.5 * samples / max(1e-9, np.abs(samples).max(initial=0))).astype(np.float32)


@pytest.mark.parametrize("name", DEGRADATIONS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    seed=some.integers(0, 2**32 - 1),
    rate=some.sampled_from(RATES),
    n_samples=some.sampled_from(LENGTHS),
    n_channels=some.sampled_from([1, 2, 8]),
)
def test_what_every_degradation_keeps(name, bank, seed, rate, n_samples, n_channels):
    params = made(name, bank).draw(np.random.default_rng(seed))
    drawn = [{name: params}]
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn, "parameters are plain JSON"
    audio = sound(n_samples_needed(n_samples, drawn), n_channels)
    before = audio.copy()
    try:
        result = apply_chain(audio, rate, drawn)
    except InputError as error:  # such as a codec for three samples
        assert n_samples <= 3
        assert "\n" not in str(error)
        return
    assert result.dtype == np.float32
    assert len(result) == n_channels
    # a sample or two more where the speed changes: not every length can be had
    assert 0 <= result.shape[1] - n_samples <= (2 if name == "speed" else 0)
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(audio, before, "the input was touched")
    assert n_samples == 0 or not np.shares_memory(result, audio) or np.array_equal(result, audio)
    np.testing.assert_array_equal(apply_chain(audio, rate, json.loads(json.dumps(drawn))), result, "a replay differs")


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_an_edited_parameter_works_or_is_refused_in_one_line(name, bank):
    params = made(name, bank).draw(np.random.default_rng(3))
    for key in params:
        for value in ODD:
            try:
                result = apply_chain(sound(4000, 1), 16000, [{name: params | {key: value}}])
            except ResoundError as error:
                assert "; " in str(error)
            else:
                assert np.isfinite(result).all(), (key, value)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_silence_is_kept_or_refused_but_never_nan(name, bank):
    params = made(name, bank).draw(np.random.default_rng(1))
    drawn = [{name: params}]
    silence = np.zeros((1, n_samples_needed(8000, drawn)), np.float32)
    try:
        assert np.isfinite(apply_chain(silence, 16000, drawn)).all()
    except InputError as error:
        assert "silent" in str(error)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_target_is_as_long_as_what_is_degraded(name, bank):
    for seed in range(3):
        drawn = [{name: made(name, bank).draw(np.random.default_rng(seed))}]
        pair = apply_chain_to_pair(sound(n_samples_needed(6000, drawn), 2), 16000, drawn)
        assert pair.degraded.shape == pair.target.shape
        assert 6000 <= pair.degraded.shape[1] <= (6002 if name == "speed" else 6000)
        assert pair.target.dtype == np.float32


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_other_parameters_give_other_samples(name, bank):
    degradation = made(name, bank)
    params = [degradation.draw(np.random.default_rng(seed)) for seed in range(100)]
    if all(one == params[0] for one in params):
        return  # its defaults have nothing to draw

    def result(one):
        return apply_chain(sound(n_samples_needed(20000, [{name: one}]), 1), 16000, [{name: one}])

    first = result(params[0])  # then the next ones, until one differs: what is rare may not happen within a second
    assert any(not np.array_equal(result(one), first) for one in params[1:])


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_setting_has_a_meaning_and_each_degradation_a_summary(name):
    assert len(summary(name)) > 10
    assert [setting.name for setting in settings_of(name) if not setting.meaning] == []


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_an_unknown_setting_is_refused_by_name(name):
    with pytest.raises((ValueError, ConfigError), match="no such setting"):
        read_degradation(name, {"no_such_thing": 1})

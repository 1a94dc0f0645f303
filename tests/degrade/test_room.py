"""Rooms: the direct sound stays, the reverberation is as long and as strong as it says."""

import numpy as np
import pytest
import soundfile

from resound.degrade.chain import apply_chain_to_pair
from resound.degrade.room import (
    CACHE,
    Room,
    SyntheticRoom,
    add_room,
    add_synthetic_room,
    part_of,
    read_response,
    room_target,
    synthetic_response,
    through_room,
)
from resound.dsp.reverberation import direct_sample, direct_to_reverberant_db, rt60_seconds
from resound.errors import InputError
from signals import noise, speech_like

RATE = 16000
ROOM = {"rt60_seconds": 0.4, "high_rt60_ratio": 1.0, "pre_delay_ms": 5.0, "direct_to_reverberant_db": 3.0}


def decaying(rt60, seconds, rate=RATE, seed=0):
    time = np.arange(round(seconds * rate)) / rate
    return np.random.default_rng(seed).standard_normal(len(time)) * 10 ** (-3 * time / rt60)


def write_response(path, response, rate=RATE):
    soundfile.write(path, np.atleast_2d(response).T, rate, subtype="FLOAT")
    return str(path)


@pytest.fixture
def late(tmp_path):
    """A response of 300 silent samples, a direct sound of 0.5, an echo after 10 ms, another after 100 ms."""
    response = np.zeros(RATE // 4)
    response[300], response[300 + 160], response[300 + 1600] = 0.5, 0.2, 0.1
    return write_response(tmp_path / "late.wav", response)


# What is measured


@pytest.mark.parametrize("rt60", [0.2, 0.6, 1.2])
def test_the_decay_of_a_response_is_found_again(rt60):
    found = [rt60_seconds(decaying(rt60, 1.5 * rt60, seed=seed), RATE) for seed in range(5)]
    assert np.mean(found) == pytest.approx(rt60, rel=0.03)


def test_a_response_that_does_not_decay_has_no_reverberation_time():
    assert np.isnan(rt60_seconds(np.array([1.0, 0.0, 0.0]), RATE))
    assert np.isnan(rt60_seconds(np.ones(3), RATE))


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0])
def test_a_synthetic_room_rings_as_long_as_asked(rt60):
    found = []
    for seed in range(8):
        response = synthetic_response(1, RATE, **(ROOM | {"rt60_seconds": rt60}), seed=seed)
        found.append(rt60_seconds(response.samples[0, 800:], RATE, to_db=-20))
    assert np.mean(found) == pytest.approx(rt60, rel=0.06)


@pytest.mark.parametrize("ratio_db", [-6.0, 0.0, 12.0])
def test_the_direct_sound_is_as_strong_as_asked(ratio_db):
    response = synthetic_response(2, RATE, **(ROOM | {"direct_to_reverberant_db": ratio_db}), seed=1)
    energy = np.mean(np.sum(response.samples[:, 1:].astype(float) ** 2, axis=1))
    assert 10 * np.log10(1 / energy) == pytest.approx(ratio_db, abs=0.01)
    single = synthetic_response(1, RATE, **(ROOM | {"direct_to_reverberant_db": ratio_db}), seed=1)
    assert direct_to_reverberant_db(single.samples[0], RATE, 0) == pytest.approx(ratio_db, abs=0.01)


def test_treble_decays_faster():
    response = synthetic_response(1, 48000, **(ROOM | {"high_rt60_ratio": 0.4}), seed=1).samples[0]
    spectra = np.abs(np.fft.rfft(response[2400:12000].reshape(4, 2400), axis=1)) ** 2
    treble = spectra[:, 400:].sum(axis=1) / spectra[:, 10:60].sum(axis=1)
    assert treble[0] > 30 * treble[3]


def test_reflections_begin_after_the_pre_delay_and_grow_denser():
    response = synthetic_response(1, 48000, **(ROOM | {"pre_delay_ms": 10.0}), seed=1).samples[0]
    assert response[0] == 1
    assert not response[1:480].any()
    share = [np.count_nonzero(response[start : start + 480]) / 480 for start in (480, 1440, 2880)]
    assert share[0] < 0.2 < share[1] < 0.7 < share[2]


# What a room does


def test_the_direct_sound_keeps_time_and_level(late):
    audio = noise(0.5, RATE, rms=0.1).astype(np.float32)[np.newaxis]
    heard = add_room(audio, RATE, file=late, target="dry")
    expected = audio.copy()
    expected[:, 160:] += 0.4 * audio[:, :-160]
    expected[:, 1600:] += 0.2 * audio[:, :-1600]
    np.testing.assert_allclose(heard, expected, atol=1e-6)


def test_a_room_is_a_convolution():
    audio = noise(0.3, RATE, rms=0.1).astype(np.float32)[np.newaxis]
    response = synthetic_response(1, RATE, **ROOM, seed=4)
    direct = np.convolve(audio[0].astype(float), response.samples[0].astype(float))[: audio.shape[1]]
    np.testing.assert_allclose(through_room(audio, response)[0], direct, atol=1e-6)


@pytest.mark.parametrize("n_samples", [0, 1, 3, 100, 5000])
def test_a_response_longer_than_the_sound_is_fine(late, n_samples):
    audio = np.full((2, n_samples), 0.1, np.float32)
    heard = add_room(audio, RATE, file=late, target="dry")
    assert heard.shape == audio.shape
    np.testing.assert_allclose(heard[:, :160], audio[:, :160], atol=1e-6)


def test_each_channel_has_its_own_reflections_but_the_same_direct_sound():
    click = np.zeros((2, 8000), np.float32)
    click[:, 0] = 1
    heard = add_synthetic_room(click, RATE, **ROOM, target="dry", seed=2)
    assert heard[0, 0] == pytest.approx(heard[1, 0], abs=1e-6)
    assert abs(np.corrcoef(heard[:, 100:])[0, 1]) < 0.2


def test_a_stereo_response_goes_channel_by_channel(tmp_path):
    response = np.zeros((2, 1000))
    response[:, 100] = 1
    response[0, 200], response[1, 300] = 0.5, 0.5
    file = write_response(tmp_path / "stereo.wav", response)
    click = np.zeros((2, 2000), np.float32)
    click[:, 0] = 1
    heard = add_room(click, RATE, file=file, target="dry")
    assert np.flatnonzero(np.abs(heard[0]) > 0.1).tolist() == [0, 100]
    assert np.flatnonzero(np.abs(heard[1]) > 0.1).tolist() == [0, 200]


def test_a_response_at_another_rate_is_resampled(tmp_path):
    response = np.zeros(48000)
    response[480], response[480 + 4800] = 1, 0.5
    file = write_response(tmp_path / "48k.wav", response, rate=48000)
    click = np.zeros((1, RATE), np.float32)
    click[0, 100] = 1
    heard = add_room(click, RATE, file=file, target="dry")
    assert np.argmax(np.abs(heard)) == 100
    assert np.argmax(np.abs(heard[0, 1000:])) + 1000 == 100 + 1600


def test_the_first_strong_peak_is_the_direct_sound_not_the_strongest():
    response = np.zeros((1, 4000))
    response[0, 100], response[0, 900], response[0, 40] = 0.6, 1.0, 0.05
    assert direct_sample(response, RATE) == 100


# Targets


@pytest.mark.parametrize("target", ["dry", "direct", "early", "reverberant"])
def test_the_target_is_the_part_that_is_asked_for(late, target):
    click = np.zeros((1, 4000), np.float32)
    click[0, 10] = 1
    asked = room_target(click, RATE, file=late, target=target)
    echoes = {"dry": [10], "direct": [10], "early": [10, 170], "reverberant": [10, 170, 1610]}[target]
    assert np.flatnonzero(np.abs(asked[0]) > 0.01).tolist() == echoes
    assert asked[0, 10] == pytest.approx(1, abs=1e-6)


def test_the_early_part_fades_out_after_50_ms():
    response = synthetic_response(1, RATE, **ROOM, seed=1)
    early = part_of(response, RATE, "early").samples[0]
    np.testing.assert_array_equal(early[:800], response.samples[0, :800])
    assert len(early) == 880
    assert 0 < np.abs(early[860:]).max() < np.abs(response.samples[0, 860:880]).max()


def test_a_chain_gives_the_target_its_part():
    audio = speech_like(1, RATE).astype(np.float32)[np.newaxis]
    for target in ("dry", "early", "reverberant"):
        params = SyntheticRoom(target=target).draw(np.random.default_rng(1))
        pair = apply_chain_to_pair(audio, RATE, [{"synthetic_room": params}])
        assert np.array_equal(pair.target, audio) == (target == "dry")
        assert np.array_equal(pair.target, pair.degraded) == (target == "reverberant")


# Banks and files


def test_a_room_draws_its_files_from_a_bank(tmp_path):
    for index in range(3):
        write_response(tmp_path / f"{index}.wav", decaying(0.1, 0.2, seed=index))
    degradation, rng = Room(bank=str(tmp_path)), np.random.default_rng(0)
    files = {degradation.draw(rng)["file"] for _ in range(50)}
    assert files == {str(tmp_path / f"{index}.wav") for index in range(3)}


def test_a_response_that_is_gone_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"gone\.wav: no such room response"):
        add_room(np.ones((1, 10), np.float32), RATE, file=str(tmp_path / "gone.wav"), target="dry")


def test_a_silent_response_is_one_line(tmp_path):
    file = write_response(tmp_path / "silent.wav", np.zeros(100))
    with pytest.raises(InputError, match=r"silent\.wav: is silent"):
        add_room(np.ones((1, 10), np.float32), RATE, file=file, target="dry")


def test_spectra_are_kept_up_to_a_number_of_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(CACHE, "max_bytes", 1 << 20)
    audio = noise(1, RATE).astype(np.float32)[np.newaxis]
    files = [write_response(tmp_path / f"{index}.wav", decaying(0.3, 0.5, seed=index)) for index in range(20)]
    first = [add_room(audio, RATE, file=file, target="dry") for file in files]
    assert CACHE.n_bytes <= 1 << 20
    np.testing.assert_array_equal(add_room(audio, RATE, file=files[0], target="dry"), first[0])


def test_a_kept_response_cannot_be_changed(late):
    with pytest.raises(ValueError, match="read-only"):
        read_response(late, RATE).samples[:] = 0

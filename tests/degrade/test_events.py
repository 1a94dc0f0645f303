"""Calls, strikes and rushes: sounds that come and go."""

import numpy as np
import pytest

from degrade.added import added_by, density_db, snr_db, tone
from resound.degrade.events import Calls, Rushes, Strikes, event_seconds
from resound.errors import InputError

RATE = 16000
KINDS = [Calls, Strikes, Rushes]
ALONE = {  # one event in the middle of what was drawn, nothing that blurs it
    Calls: {"vibrato_octaves": 0, "roughness": 0, "breath_db": -100, "regularity": 1},
    Strikes: {"knock_db": -100, "regularity": 1},
    Rushes: {"regularity": 1},
}


def peak_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


def from_its_start(added: np.ndarray) -> np.ndarray:
    return added[np.argmax(np.abs(added) > 1e-3 * np.abs(added).max()) :]


@pytest.mark.parametrize("asked", [-20, 7.5, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_they_reach_the_snr_that_they_were_asked_for(kind, asked):
    clean = tone(2, RATE, n_channels=2)
    added = added_by(kind, clean, RATE, snr_db=asked)
    assert snr_db(clean, added) == pytest.approx(asked, abs=0.01)
    np.testing.assert_allclose(added[0], added[1], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_something_is_heard_in_every_recording_however_rare_it_is(kind):
    for seed in range(10):
        assert added_by(kind, tone(0.2, RATE), RATE, seed=seed, rate_per_second=0.01).any()


@pytest.mark.parametrize("rate_per_second", [0.5, 4, 40])
@pytest.mark.parametrize("regularity", [0, 0.5, 1])
def test_there_are_as_many_as_asked_for(rate_per_second, regularity):
    rng = np.random.default_rng(1)
    counts = [len(event_seconds(rng, rate_per_second, regularity, 30)) for _ in range(30)]
    assert np.mean(counts) == pytest.approx(30 * rate_per_second, rel=0.1)


def test_regular_ones_tick_and_the_others_do_not():
    rng = np.random.default_rng(2)
    gaps = {regularity: np.diff(event_seconds(rng, 5, regularity, 60)) for regularity in (0, 1)}
    np.testing.assert_allclose(gaps[1], 0.2, atol=1e-9)
    assert gaps[0].std() == pytest.approx(0.2, rel=0.25)  # as an exponential has it


@pytest.mark.parametrize("pitch_hz", [220, 900])
def test_a_call_has_its_pitch_and_nothing_between_the_harmonics(pitch_hz):
    added = added_by(
        Calls, tone(4, RATE), RATE, **ALONE[Calls], rate_per_second=0.01, length_ms=4000, pitch_hz=pitch_hz,
        glide_octaves=0, roll_off_db_per_octave=6,
    )[0]  # fmt: skip
    spectrum = np.abs(np.fft.rfft(added * np.hanning(len(added))))
    frequencies = np.fft.rfftfreq(len(added), 1 / RATE)
    lags = np.arange(round(RATE / (1.4 * pitch_hz)), round(RATE / (0.7 * pitch_hz)) + 1)
    power = np.fft.irfft(spectrum**2)
    pitch = RATE / lags[np.argmax(power[lags])]
    assert abs(np.log2(pitch / pitch_hz)) < 0.3  # from one call to the next it scatters
    on = spectrum[np.abs((frequencies + pitch / 2) % pitch - pitch / 2) < 0.1 * pitch]
    between = spectrum[np.abs((frequencies + pitch / 2) % pitch - pitch / 2) > 0.35 * pitch]
    assert np.sum(between**2) < 0.02 * np.sum(on**2)


def test_the_pitch_of_a_call_glides_as_far_as_asked_for():
    heard = []
    for glide_octaves in (0, 1):
        added = added_by(
            Calls, tone(4, RATE), RATE, **ALONE[Calls], rate_per_second=0.5, length_ms=1000, pitch_hz=1000,
            glide_octaves=glide_octaves, roll_off_db_per_octave=60, seed=4,
        )[0]  # fmt: skip
        first = from_its_start(added)[: RATE // 2]
        pieces = np.array_split(first, 8)  # of a sine: half its turns are its zeros
        pitches_hz = [np.count_nonzero(np.diff(np.signbit(piece))) / 2 * RATE / len(piece) for piece in pieces]
        heard.append(np.ptp(np.log2(pitches_hz)))
    assert heard[0] < 0.1
    assert 0.4 < heard[1] < 1.1


def test_a_strike_rings_at_its_pitch_and_dies_away_as_asked_for():
    added = added_by(
        Strikes, tone(4, RATE), RATE, **ALONE[Strikes], rate_per_second=0.5, n_modes=1, pitch_hz=700, decay_ms=100
    )[0]
    ringing = from_its_start(added)[: int(0.4 * RATE)]
    assert peak_hz(ringing) == pytest.approx(700, abs=3)
    levels_db = [20 * np.log10(np.sqrt(np.mean(piece**2))) for piece in np.array_split(ringing, 4)]
    np.testing.assert_allclose(np.diff(levels_db), -8.69, atol=0.3)


def test_higher_modes_die_away_sooner_where_they_are_damped():
    shares = []
    for damping in (0, 1):
        added = added_by(
            Strikes, tone(4, RATE), RATE, **ALONE[Strikes], rate_per_second=0.5, n_modes=12, pitch_hz=200,
            decay_ms=200, damping=damping, seed=3,
        )[0]  # fmt: skip
        late = from_its_start(added)[int(0.2 * RATE) : int(0.5 * RATE)]
        power = np.abs(np.fft.rfft(late)) ** 2
        shares.append(power[np.fft.rfftfreq(len(late), 1 / RATE) > 600].sum() / power.sum())
    assert shares[1] < 0.5 * shares[0]


def test_a_rush_is_noise_of_the_band_asked_for():
    added = added_by(
        Rushes, tone(4, RATE), RATE, rate_per_second=20, regularity=1, length_ms=500, centre_hz=1000, width_octaves=1
    )[0]
    below, middle, above = density_db(added, RATE, [250, 1000, 4000])
    assert middle > below + 20
    assert middle > above + 20


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_above_half_the_rate_is_left_out(kind):
    high = {"centre_hz": 20000} if kind is Rushes else {"pitch_hz": 16000}
    added = added_by(kind, tone(1, 8000), 8000, **ALONE[kind] if kind is not Rushes else {}, **high)
    assert np.isfinite(added).all()


@pytest.mark.parametrize("kind", KINDS)
def test_silence_is_refused_in_one_line(kind):
    with pytest.raises(InputError, match="the signal is silent"):
        added_by(kind, 0 * tone(1, RATE), RATE)

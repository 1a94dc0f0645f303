import numpy as np
import pytest
import scipy.signal

from resound.dsp.filters import filter_fir, filter_sections, lead_samples, minimum_phase_fir, rounded

RATE = 48000


def response_db(fir: np.ndarray, frequencies_hz: list[float], rate: int = RATE) -> np.ndarray:
    return 20 * np.log10(np.abs(scipy.signal.freqz(fir, worN=frequencies_hz, fs=rate)[1]))


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 192000])
def test_the_response_runs_through_its_points(rate):
    hz, db = np.array([40, 100, 1000, 2500, 3500]), np.array([-7, 0, 0, -10, -30])
    fir = minimum_phase_fir(hz, db, rate)
    np.testing.assert_allclose(response_db(fir, [*hz], rate)[:4], db[:4], atol=0.3)
    # between points straight over octaves: the geometric mean has the mean
    assert response_db(fir, [np.sqrt(1000 * 2500)], rate)[0] == pytest.approx(-5, abs=0.3)


def test_the_magnitude_of_a_minimum_phase_system_gives_its_impulse_response():
    hz = np.geomspace(1, RATE / 2, 4000)
    pole = 0.9  # H(z) = (1 - pole) / (1 - pole / z): impulse response (1 - pole) pole^n
    magnitude = np.abs((1 - pole) / (1 - pole * np.exp(-2j * np.pi * hz / RATE)))
    fir = minimum_phase_fir(hz, 20 * np.log10(magnitude), RATE)
    np.testing.assert_allclose(fir[:200], (1 - pole) * pole ** np.arange(200), atol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 3, 500, 12289, 40000])
def test_block_convolution_equals_direct_convolution(n_samples):
    audio = np.random.default_rng(0).standard_normal((2, n_samples)).astype("f4")
    fir = minimum_phase_fir(np.array([2000, 8000]), np.array([0, -24]), RATE)
    lead = lead_samples(fir, RATE)
    direct = [scipy.signal.oaconvolve(np.pad(line, (0, lead)).astype("f8"), fir)[lead:] for line in audio]
    wanted = np.array([line[:n_samples] for line in direct])
    np.testing.assert_allclose(filter_fir(audio, fir, RATE), wanted, atol=2e-6)


def test_a_filter_leaves_pink_noise_where_it_was():
    rng = np.random.default_rng(0)
    pink = scipy.signal.lfilter([1], [1, -0.99], rng.standard_normal(20000))[np.newaxis].astype("f4")
    sections = scipy.signal.butter(8, 3000, fs=RATE, output="sos")
    assert lead_samples(scipy.signal.sosfilt(sections, np.eye(1, 4096)[0]), RATE) > 5
    likeness = scipy.signal.correlate(filter_sections(pink, sections, RATE)[0], pink[0])
    assert abs(int(np.argmax(likeness)) - (pink.shape[1] - 1)) <= 1


def test_rounding_keeps_ten_digits_of_values_of_any_size():
    values = np.array([1.23456789012345, -1.23456789012345e-20, 0.0])
    np.testing.assert_array_equal(rounded(values), [1.234567890, -1.234567890e-20, 0.0])

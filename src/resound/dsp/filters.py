"""Linear filters that leave a recording where it is in time, and give the same samples on any processor.

The carriers of sound (horns, valves, tape, film) are minimum-phase systems, so these are, too: nothing sounds before
its cause.  Such a filter still delays what it lets through by a few samples; `lead_samples` finds by how many, and they
are taken back, so that a filtered recording lies on its original.  What remains is dispersion: a band as narrow as a
telephone's leads in its lowest octave, by up to 0.2 ms of speech.

Processors differ in the last bits of exp, log and tan.  So coefficients are rounded to fewer digits than they have
(`rounded`, `FIR_GRID`).
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from resound.dsp.convolution import blocks_for, filtered, spectrum_of

FIR_GRID = 2.0**-22  # coefficients are multiples of this: noise 105 dB below a response of 0 dB
LONGEST_RESPONSE_SECONDS = 0.085  # 4096 samples at 48 kHz: enough for a corner at 20 Hz
LOWEST_DB = -100.0


def minimum_phase_fir(
    points_hz: NDArray[np.float64], points_db: NDArray[np.float64], sample_rate: int
) -> NDArray[np.float32]:
    """Return the impulse response ``(tap,)`` whose magnitude runs through the points, straight in dB over octaves.

    The outermost points hold beyond them.  Minimum phase by folding the real cepstrum (Oppenheim and Schafer,
    *Discrete-Time Signal Processing*, chapter on cepstrum analysis).
    """
    n_taps = 1 << int(np.ceil(np.log2(max(LONGEST_RESPONSE_SECONDS * sample_rate, 64))))
    n_fft = 4 * n_taps
    frequencies_hz = np.maximum(np.arange(n_fft // 2 + 1) * (sample_rate / n_fft), 1e-3)
    db = np.interp(np.log(frequencies_hz), np.log(np.maximum(points_hz, 1e-3)), np.maximum(points_db, LOWEST_DB))
    cepstrum = scipy.fft.irfft(db * (np.log(10) / 20), n_fft)
    cepstrum[1 : n_fft // 2] *= 2
    cepstrum[n_fft // 2 + 1 :] = 0
    response = scipy.fft.irfft(np.exp(scipy.fft.rfft(cepstrum)), n_fft)[:n_taps]
    fade = n_taps // 4
    response[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return (np.rint(response / FIR_GRID) * FIR_GRID).astype(np.float32)


def filter_fir(audio: NDArray[np.float32], fir: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Return ``(channel, time)`` through an impulse response ``(tap,)``, its delay taken back, as long as it was."""
    if not audio.size:
        return audio.copy()
    lead = lead_samples(fir, sample_rate)
    padded = np.pad(audio, ((0, 0), (0, lead)))
    blocks = blocks_for(padded.shape[1], len(fir))
    return np.ascontiguousarray(filtered(padded, spectrum_of(fir[np.newaxis], blocks), blocks)[:, lead:])


def filter_sections(audio: NDArray[np.float32], sections: NDArray[np.float64], sample_rate: int) -> NDArray[np.float32]:
    """Return ``(channel, time)`` through second-order sections, their delay taken back, as long as it was."""
    if not audio.size or not len(sections):
        return audio.copy()
    sections = rounded(sections)
    impulse = np.zeros(1 << int(np.ceil(np.log2(max(LONGEST_RESPONSE_SECONDS * sample_rate, 64)))))
    impulse[0] = 1
    lead = lead_samples(scipy.signal.sosfilt(sections, impulse), sample_rate)
    padded = np.pad(audio, ((0, 0), (0, lead)))
    return scipy.signal.sosfilt(sections, padded, axis=1)[:, lead:].astype(np.float32)


def lead_samples(response: NDArray, sample_rate: int) -> int:
    """Return by how many samples a causal response delays: the lag at which pink noise out is most like pink noise in.

    Pink, because sound is: a low-pass delays all that it keeps, where white noise would listen to its highest octave.
    """
    n_fft = 2 * scipy.fft.next_fast_len(len(response), real=True)
    spectrum = scipy.fft.rfft(response, n_fft)
    frequencies_hz = np.maximum(np.arange(len(spectrum)) * (sample_rate / n_fft), 50.0)
    correlation = scipy.fft.irfft(spectrum / frequencies_hz, n_fft)
    return int(np.argmax(np.rint(correlation[: len(response)] / (1e-9 * np.abs(correlation).max() or 1))))


def rounded(values: NDArray[np.float64], digits: int = 10) -> NDArray[np.float64]:
    """Return values rounded to so many digits each: the last bits, where processors differ, make no difference then."""
    return np.array([float(f"{value:.{digits}g}") for value in np.ravel(values)]).reshape(np.shape(values))

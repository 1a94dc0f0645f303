"""A chain that makes clean speech sound like a recording whose noise was measured.

The ranges lie around what was measured, narrow enough that the profile of the result is that of the recording.  Widen
them by hand for more variety; each line says what it comes from.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from resound.errors import one_line
from resound.harvest.hum import HumProfile
from resound.harvest.profile import NoiseProfile
from resound.harvest.spectra import density_db

LEVEL_ROOM_DB = 1.0
TILT_ROOM_DB = 0.3  # an octave
BAND_ROOM, RATE_ROOM = 0.05, 0.1  # shares
HUM_ROOM_HZ = 0.03
GUESSED_SNR_DB, GUESSED_ROOM_DB = 25.0, 8.0  # where a recording has no programme to set the noise against
DEEPEST_DB = 80.0  # below the strongest band, a spectrum is written no deeper
EDGE_DB = 40.0  # what a spectrum falls by beyond its outermost bands
NEARLY_WHOLE = 0.9  # a band that reaches so far towards the Nyquist frequency is not limited
BAND_DB_PER_OCTAVE = 36
STEEPEST_DB_PER_OCTAVE = 60.0  # that `hum` takes
STRONG_DB = 20.0  # below the strongest harmonic, another one hardly counts
SHAPE_ERROR_DB = 3.0


def fitted_chain_text(profile: NoiseProfile) -> str:
    """Return a chain as YAML (see `resound.degrade.chain`), with what was measured as comments."""
    steps = [band_step(profile), hiss_step(profile), crackle_step(profile), hum_step(profile), sprocket_step(profile)]
    told = "\n".join("# " + line for line in profile.describe().splitlines())
    about = f"noise like that of {one_line(Path(profile.recording).name)}"
    return "\n".join([told, f"about: {_quoted(about)}", "steps:", *filter(None, steps)])


def full_snr_db(profile: NoiseProfile) -> tuple[float, float]:
    """Return the mean power of the programme over the noise, and the room around it."""
    if profile.full_snr_db is None:
        return GUESSED_SNR_DB, GUESSED_ROOM_DB
    return profile.full_snr_db, LEVEL_ROOM_DB


def band_step(profile: NoiseProfile) -> str:
    """Return the step that limits the programme's band, empty where it reaches the Nyquist frequency."""
    band_hz = profile.bandwidth_hz
    if band_hz is None or band_hz > NEARLY_WHOLE * profile.sample_rate / 2:
        return ""
    room = _range(band_hz * (1 - BAND_ROOM), band_hz * (1 + BAND_ROOM), digits=0)
    return (
        f"  # the programme ends at {band_hz:.0f} Hz; against average speech it has\n"
        f"  # {response_text(profile)}\n"
        f"  - band_limit: {{high_hz: {room}, db_per_octave: {BAND_DB_PER_OCTAVE}}}"
    )


def response_text(profile: NoiseProfile) -> str:
    """Return the programme's response at octaves, for a comment."""
    response = dict(zip(profile.third_octave_hz, profile.response_db or (), strict=False))
    octaves = [hz for hz in response if response[hz] is not None and round(math.log2(hz / 1000) * 3) % 3 == 0]
    return ", ".join(f"{response[hz]:+.0f} dB at {hz:.0f} Hz" for hz in octaves if hz >= 120)


def hiss_step(profile: NoiseProfile) -> str:
    """Return the step that adds the noise with its spectrum."""
    snr_db, room_db = full_snr_db(profile)
    points = ", ".join(f"[{hz:g}, {db:.1f}]" for hz, db in spectrum_points(profile))
    what = "no programme: the level is a guess" if profile.snr_db is None else f"{profile.snr_db:.1f} dB while active"
    return (
        f"  # {snr_db:.1f} dB below the mean power of the programme ({what}); power density at third octaves\n"
        f"  - hiss:\n"
        f"      snr_db: {_range(snr_db - room_db, snr_db + room_db)}\n"
        f"      db_per_octave: [{-TILT_ROOM_DB:g}, {TILT_ROOM_DB:g}]\n"
        f"      points_db: [{points}]"
    )


def spectrum_points(profile: NoiseProfile) -> list[tuple[float, float]]:
    """Return the noise's density, 0 dB at 1 kHz, and a fall on both sides of what was measured."""
    hz = np.array(profile.third_octave_hz)
    level_db = density_db(hz, np.array(profile.noise_db))
    level_db = np.maximum(level_db, level_db.max() - DEEPEST_DB)
    level_db -= level_db[int(np.argmin(np.abs(hz - 1000)))]
    points = [(round(float(f), 1), round(float(db), 1)) for f, db in zip(hz, level_db, strict=True)]
    (first_hz, first_db), (last_hz, last_db) = points[0], points[-1]
    below = [(round(first_hz / 1.6, 1), round(first_db - EDGE_DB, 1)), (round(first_hz / 1.12, 1), first_db)]
    above = [(round(last_hz * 1.12, 1), last_db), (round(last_hz * 1.3, 1), round(last_db - EDGE_DB, 1))]
    return [*below, *points, *above]


def signal_over_noise_db(profile: NoiseProfile) -> float:
    """Return programme and noise together over the noise: what `crackle` and `hum` count from."""
    return 10 * math.log10(1 + 10 ** (full_snr_db(profile)[0] / 10))


def crackle_step(profile: NoiseProfile) -> str:
    """Return the step that adds ticks, empty where there are none."""
    crackle = profile.crackle
    if crackle is None:
        return ""
    peak_db = crackle.peak_db - signal_over_noise_db(profile)
    rate = _range(crackle.per_second * (1 - RATE_ROOM), crackle.per_second * (1 + RATE_ROOM), digits=2)
    spread_db = min(crackle.spread_db, 20.0)
    return (
        f"  # {crackle.found_per_second:g} ticks a second stand out of the noise, {crackle.per_second:g} with those "
        f"under it; their peaks are {crackle.peak_db:+.1f} dB to the noise\n"
        f"  - crackle:\n"
        f"      rate_per_second: {rate}\n"
        f"      peak_db: {_range(peak_db - LEVEL_ROOM_DB, peak_db + LEVEL_ROOM_DB)}\n"
        f"      spread_db: {spread_db:.1f}\n"
        f"      length_ms: {min(max(crackle.length_ms, 0.05), 1.0):.3f}\n"
        f"      scratch_share: 0"
    )


def hum_step(profile: NoiseProfile) -> str:
    """Return the step that adds hum, empty where there is none."""
    hum = profile.hum
    if hum is None:
        return ""
    # From the active level, or from the noise's where there is no programme, to what comes into this step.
    active_over_full_db = 0.0 if profile.snr_db is None else profile.snr_db - full_snr_db(profile)[0]
    over_noise_db = signal_over_noise_db(profile)
    base_db = over_noise_db if profile.snr_db is None else over_noise_db - full_snr_db(profile)[0]
    snr_db = base_db - hum.level_db - active_over_full_db
    levels = ", ".join(f"{n}: {db:.0f} dB" for n, db in zip(hum.harmonics, hum.harmonic_db, strict=True))
    shape = harmonic_shape(hum.harmonics, hum.harmonic_db)
    if shape is not None:
        steps = [hum_line(hum.frequency_hz, snr_db, *shape, room_hz=HUM_ROOM_HZ)]
    else:
        strong = [pair for pair in zip(hum.harmonics, hum.harmonic_db, strict=True) if is_strong(pair[1], hum)]
        steps = [
            hum_line(number * hum.frequency_hz, snr_db + hum.level_db - db, STEEPEST_DB_PER_OCTAVE, 0.0, room_hz=0.0)
            for number, db in strong
        ]
    return "\n".join([f"  # harmonics relative to the programme: {levels}", *steps])


def hum_line(frequency_hz: float, snr_db: float, roll_off_db: float, even_db: float, *, room_hz: float) -> str:
    """Return one ``hum`` step."""
    return (
        f"  - hum:\n"
        f"      snr_db: {_range(snr_db - LEVEL_ROOM_DB, snr_db + LEVEL_ROOM_DB)}\n"
        f"      frequency_hz: {_range(frequency_hz - room_hz, frequency_hz + room_hz, digits=3)}\n"
        f"      roll_off_db_per_octave: {roll_off_db:.1f}\n"
        f"      even_db: {even_db:.1f}\n"
        f"      drift_hz: 0"
    )


def is_strong(level_db: float, hum: HumProfile) -> bool:
    """Tell whether a harmonic is among those that make the hum."""
    return level_db > max(hum.harmonic_db) - STRONG_DB


def harmonic_shape(numbers: tuple[int, ...], level_db: tuple[float, ...]) -> tuple[float, float] | None:
    """Return roll-off per octave and level of the even harmonics, None where `hum` cannot have such harmonics.

    Levels count by their amplitude: the strong harmonics are those that are heard, and must be met within 3 dB.  One
    that was not found counts as none, which a slope cannot say: then each has its own step.
    """
    n, levels = np.array(numbers, dtype=np.float64), np.array(level_db)
    if n[0] != 1 or len(n) != n[-1] or len(n) < 2:
        return None
    weights = 10 ** ((levels - levels.max()) / 20) + 0.01
    columns = [np.ones_like(n), -np.log2(n), *([(n % 2 == 0).astype(np.float64)] if len(n) > 3 else [])]
    basis = np.stack(columns, axis=1)
    found = np.linalg.lstsq(basis * weights[:, None], levels * weights, rcond=None)[0]
    strong = levels > levels.max() - STRONG_DB
    if not 0 <= found[1] <= STEEPEST_DB_PER_OCTAVE or np.abs(basis @ found - levels)[strong].max() > SHAPE_ERROR_DB:
        return None
    return float(found[1]), float(np.clip(found[2], -60, 60)) if len(columns) == 3 else 0.0


def sprocket_step(profile: NoiseProfile) -> str:
    """Return the step that sways the level 96 times a second, empty where nothing does."""
    sways = [sway for sway in profile.sprocket if sway.rate_hz == 96.0]
    if not sways:
        return ""
    depth = sways[0].depth_percent
    return f"  # the noise sways by {depth:g} % at 96 Hz\n  - sprocket: {{snr_db: 60, depth_percent: {depth:g}}}"


def _range(low: float, high: float, *, digits: int = 1) -> str:
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def _quoted(text: str) -> str:
    """Return text as a YAML string whatever is in it."""
    return json.dumps(text, ensure_ascii=False)

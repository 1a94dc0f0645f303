"""What holds for every degradation of the carrier: any input, its input untouched, the same samples anywhere."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from resound.degrade.chain import DEGRADATIONS, apply_chain_to_pair
from signals import speech_like

# Several settings of each, so that every branch is met.
SETTINGS = [
    ("wow_flutter", {"wow_random_percent": 0.3, "flutter_random_percent": 0.1}),
    ("speed", {}),
    ("roll_off", {"curve": "academy"}),
    ("roll_off", {"curve": "points", "points": [[100, 0], [3000, -20]], "shift_octaves": [-0.5, 0.5]}),
    ("band_limit", {"low_hz": 80}),
    ("band_limit", {"kind": "brickwall"}),
    ("horn", {}),
    ("clip", {"asymmetry_db": 2}),
    ("clip", {"shape": "tanh", "oversampling": 2}),
    ("clip", {"shape": "cubic", "below_peak_db": 6}),
    ("optical_valve", {"clash_db": -3, "cross_percent": 4}),
    ("dropout", {"per_minute": 600}),
    ("packet_loss", {"percent": 40}),
    ("packet_loss", {"concealment": "zero"}),
    ("azimuth", {}),
    ("azimuth", {"sum_to": "tracks"}),
    ("gain", {}),
    ("polarity", {}),
    ("dc", {}),
    ("bit_depth", {}),
    ("bit_depth", {"dither": False}),
]
CASES = [pytest.param(name, settings, id=f"{name}-{i}") for i, (name, settings) in enumerate(SETTINGS)]


FULL_SCALE = ("dc", "bit_depth")  # tied to it, which is the point of them


def drawn(name: str, settings: dict) -> dict:
    params = DEGRADATIONS[name].model_validate(settings).draw(np.random.default_rng(7))
    assert json.loads(json.dumps(params)) == params
    return params


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_input_is_untouched_and_the_length_kept(name, settings):
    audio = np.repeat(speech_like(1.5, 48000)[np.newaxis], 2, axis=0).astype("f4")
    before = audio.copy()
    out = DEGRADATIONS[name].apply(audio, 48000, **drawn(name, settings))
    np.testing.assert_array_equal(audio, before)
    assert not np.shares_memory(out, audio)
    assert out.dtype == np.float32 and (name == "speed" or out.shape == audio.shape)


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("n_samples", [0, 1, 2, 3, 50, 3000])
def test_any_length_rate_and_number_of_channels(name, settings, n_samples):
    kind, params = DEGRADATIONS[name], drawn(name, settings)
    for rate in (8000, 44100, 192000):
        for n_channels in (1, 2, 8):
            noise = np.random.default_rng(1).standard_normal((n_channels, n_samples)).astype("f4")
            for audio in (0.1 * noise, 0 * noise):
                out = kind.apply(audio, rate, **params)
                assert out.dtype == np.float32 and np.isfinite(out).all() and len(out) == n_channels
                assert out.shape == audio.shape or name == "speed"
                if name not in FULL_SCALE:
                    assert audio.any() or not out.any()


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("level", [1e-45, 1e-38, 1e-30, 1e4])
@pytest.mark.filterwarnings("error")
def test_sound_of_any_level_stays_finite(name, settings, level):
    audio = (level * np.random.default_rng(1).uniform(-1, 1, (1, 2000))).astype("f4")
    assert np.isfinite(DEGRADATIONS[name].apply(audio, 48000, **drawn(name, settings))).all()


@pytest.mark.parametrize(("name", "settings"), [case for case in CASES if case.values[0] not in FULL_SCALE])
def test_twice_the_level_is_twice_the_result(name, settings):
    audio = speech_like(1.5, 16000)[np.newaxis].astype("f4")
    params = drawn(name, settings)
    once, twice = (
        DEGRADATIONS[name].apply(gain * audio, 16000, **params) for gain in (np.float32(0.125), np.float32(1))
    )
    np.testing.assert_allclose(8 * once, twice, atol=2e-6)


@pytest.mark.parametrize("name", ["wow_flutter", "speed", "gain", "polarity"])
def test_the_target_has_what_moves_samples_and_what_restoring_keeps(name):
    audio = speech_like(1.5, 16000)[np.newaxis].astype("f4")
    degraded, target = apply_chain_to_pair(audio, 16000, [{name: drawn(name, {})}])
    np.testing.assert_array_equal(degraded, target)
    assert degraded.shape != audio.shape or np.abs(degraded - audio).max() > 1e-3


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_target_has_nothing_of_the_rest(name, settings):
    audio = speech_like(1.5, 16000)[np.newaxis].astype("f4")
    degraded, target = apply_chain_to_pair(audio, 16000, [{name: drawn(name, settings)}])
    if DEGRADATIONS[name].apply_to_target is None:
        np.testing.assert_array_equal(target, audio)
        assert not np.array_equal(degraded, audio)


def fingerprints() -> dict[str, str]:
    audio = speech_like(1.5, 48000)[np.newaxis].astype("f4")
    audio = np.rint(audio * 2**15).astype("f4") / 2**15  # the signal's own last bits may differ between processors
    return {
        f"{name}-{number}": hashlib.sha256(
            DEGRADATIONS[name].apply(audio, 48000, **drawn(name, settings)).tobytes()
        ).hexdigest()
        for number, (name, settings) in enumerate([*SETTINGS, ("codec", {}), ("codec", {"codec": "opus"})])
    }


def test_a_lesser_processor_gives_the_same_samples():
    features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    program = "import json, test_carrier; print(json.dumps(test_carrier.fingerprints()))"
    paths = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__)), *sys.path]
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(features), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == fingerprints()

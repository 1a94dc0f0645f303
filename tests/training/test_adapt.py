"""A model fitted to recordings: what it learns from, what decides, and what it says."""

import json
import re

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.checkpoint import load_model, save_model  # noqa: E402
from resound.corpora.manifest import read_manifest  # noqa: E402
from resound.errors import ConfigError, InputError  # noqa: E402
from resound.judging.summary import statistics_of  # noqa: E402
from resound.mixing.config import mixing_from  # noqa: E402
from resound.mixing.stream import open_examples  # noqa: E402
from resound.models import build  # noqa: E402
from resound.training.adapt import adapt, loss_for, run_config, verdict  # noqa: E402
from resound.training.adapt_output import Effect, Heard, effect_of, faults_of  # noqa: E402
from resound.training.material.film import from_recordings  # noqa: E402
from resound.training.material.noisier import from_noisy, more_noise  # noqa: E402
from resound.training.material.pairs import from_pairs  # noqa: E402
from signals import speech_like  # noqa: E402
from training.conftest import RATE, TINY  # noqa: E402

FINE = Effect(noise_fall_db=10.0, active_change_db=-0.2, delay_ms=0.0, n_clipped=0)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer examples than in earnest."""
    monkeypatch.setattr("resound.training.adapt.N_CHOOSING", 4)
    monkeypatch.setattr("resound.training.adapt.N_DECIDING", 12)


@pytest.fixture
def film(tmp_path):
    """A minute of speech with pauses under hiss, and its clean sound."""
    clean = np.concatenate(
        [part for seed in range(15) for part in (speech_like(2.5, RATE, seed=seed), np.zeros(int(1.5 * RATE)))]
    ).astype(np.float32)
    noisy = clean + 0.01 * np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    soundfile.write(tmp_path / "film.wav", noisy, RATE, subtype="FLOAT")
    return tmp_path / "film.wav"


@pytest.fixture
def pairs(tmp_path):
    """Six pairs: speech, and the same under hiss."""
    for index in range(6):
        clean = speech_like(6.2, RATE, seed=index).astype(np.float32)
        noisy = clean + 0.02 * np.random.default_rng(index).standard_normal(len(clean)).astype(np.float32)
        for side, samples in (("clean", clean), ("degraded", noisy)):
            (tmp_path / side).mkdir(exist_ok=True)
            soundfile.write(tmp_path / side / f"{index}.wav", samples, RATE, subtype="FLOAT")
    return tmp_path / "clean", tmp_path / "degraded"


@pytest.fixture
def start(tmp_path):
    """A model that knows nothing."""
    torch.manual_seed(0)
    save_model(tmp_path / "start", build("conv_tasnet", **TINY, n_sources=1), title="start")
    return tmp_path / "start"


def silent(text):
    pass


# What is learnt from


def test_the_noise_of_a_film_is_learnt_from_chosen_by_and_decided_by_in_different_pieces(film, corpora, tmp_path):
    material = from_recordings([film], corpora, tmp_path / "material", silent)
    parts = [read_manifest(path) for path in sorted((tmp_path / "material/noise").glob("film-*.jsonl"))]
    names = [{recording.path for recording in part.recordings} for part in parts]
    assert len(names) == 3
    assert all(names)
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    banks = [json.dumps(where) for where in (material.data, material.choosing, material.deciding)]
    assert ["film-train" in text for text in banks] == [True, False, False]
    assert ["film-valid" in text for text in banks] == [False, True, False]
    assert ["film-test" in text for text in banks] == [False, False, True]


def test_clean_speech_with_the_noise_of_a_film_is_as_noisy_as_the_film(film, corpora, tmp_path):
    material = from_recordings([film], corpora, tmp_path / "material", silent)
    examples = open_examples(mixing_from({**material.data, "sample_rate": RATE, "augment": []}, "data"))
    drawn = [examples.example(0, index) for index in range(12)]
    noise = [np.sqrt(np.mean((example.degraded - example.clean) ** 2)) for example in drawn]
    levels = [np.sqrt(np.mean(example.clean**2)) for example in drawn]
    snr_db = 20 * np.log10(np.mean(levels) / np.mean(noise))
    film_samples, _ = soundfile.read(film)
    expected_db = 10 * np.log10(np.mean(film_samples**2) / 0.01**2 - 1)
    assert snr_db == pytest.approx(expected_db, abs=3)


def test_corpora_without_clean_sound_are_refused(film, tmp_path):
    manifest = tmp_path / "noise.jsonl"
    manifest.write_text('{"manifest": 1, "root": "."}\n{"path": "a.wav", "n_samples": 8, "sample_rate": 8}\n')
    with pytest.raises(ConfigError, match="holds no speech, effects or music"):
        from_recordings([film], [manifest], tmp_path / "material", silent)


def test_each_pair_serves_in_one_part_alone(pairs, tmp_path):
    told = []
    material = from_pairs(*pairs, tmp_path / "material", told.append)
    recordings = read_manifest(tmp_path / "material/pairs.jsonl").recordings
    parts = {name: {recording.split for recording in recordings if recording.group == name} for name in "012345"}
    assert all(len(splits) == 1 for splits in parts.values())
    assert {split for splits in parts.values() for split in splits} == {"train", "valid", "test"}
    assert told == ["pairs: 4 to learn from, 1 to choose by, 1 to decide by"]
    assert [path.name for path in material.recordings] == ["2.wav"]


def test_two_pairs_are_too_few(pairs, tmp_path):
    for index in (2, 3, 4, 5):
        (pairs[0] / f"{index}.wav").unlink()
    with pytest.raises(InputError, match="have 2 names in common; give at least 3 pairs"):
        from_pairs(*pairs, tmp_path / "material", silent)


def test_pairs_of_which_too_little_decides_are_refused(pairs, tmp_path):
    for folder in pairs:
        samples, _ = soundfile.read(folder / "2.wav")
        soundfile.write(folder / "2.wav", samples[: 3 * RATE], RATE)
    with pytest.raises(InputError, match="the part to decide by is shorter than 2 segments of 3 s"):
        from_pairs(*pairs, tmp_path / "material", silent)


def test_a_film_alone_is_made_noisier_by_what_is_taken_off_its_target(film, tmp_path):
    material = from_noisy([film], RATE, tmp_path / "material", silent)
    assert material.is_noisy
    assert loss_for("conv_tasnet", material) == [{"kind": "mse"}]
    whole, _ = soundfile.read(film, dtype="float32")
    segment = whole[3 * 3 * RATE : 4 * 3 * RATE]
    noisier, target = (
        soundfile.read(tmp_path / f"material/pairs/film-0003-{role}.wav", dtype="float32")[0]
        for role in ("degraded", "clean")
    )
    assert (noisier + target) / 2 == pytest.approx(segment, abs=1e-6)
    assert np.std(noisier - segment) == pytest.approx(0.01, rel=0.25)


def test_noise_is_taken_from_elsewhere_in_the_film():
    here, elsewhere = np.full(800, 1, np.float32), np.full(800, 2, np.float32)
    pieces = [(10.2, 10.3, here), (50.0, 50.1, elsewhere)]
    drawn = more_noise(pieces, 9.0, 3 * RATE, RATE, np.random.default_rng(0))
    middle = np.abs(drawn[300:400])
    assert len(drawn) == 3 * RATE
    assert middle == pytest.approx(np.full(100, 2.0))


def test_the_error_on_noisier_pairs_tells_networks_apart_as_the_clean_sound_would():
    """As `resound.training.material.noisier` says; here for gains as networks."""
    rng = np.random.default_rng(0)
    clean, noise, more = rng.standard_normal((3, 400_000)) * [[2], [1], [1]]
    noisier, target = clean + noise + more, clean + noise - more

    def by(reference, gain):
        return np.mean((gain * noisier - reference) ** 2)

    for one, other in ((0.3, 0.6), (2 / 3, 1.0), (0.5, 0.9)):
        assert by(target, one) - by(target, other) == pytest.approx(by(clean, one) - by(clean, other), abs=0.02)


def test_a_film_without_noise_alone_needs_clean_recordings(tmp_path):
    soundfile.write(tmp_path / "loud.wav", speech_like(4, RATE), RATE)
    with pytest.raises(InputError, match="give some with --corpus"):
        from_noisy([tmp_path / "loud.wav"], RATE, tmp_path / "material", silent)


# What decides


def gain(*values):
    return statistics_of(np.array(values))


def test_a_gain_that_may_be_chance_is_none():
    assert verdict(gain(2.0, -1.5, 1.0, -0.5), "si_sdr", [])[0] is False
    assert verdict(gain(1.0, 1.2, 0.9, 1.1), "si_sdr", [])[0] is True
    assert verdict(gain(1.0), "si_sdr", [])[0] is False  # of which nothing can be said


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (Effect(10.0, -4.0, 0.0, 0), "what is no noise changes by -4.0 dB"),
        (Effect(10.0, 2.0, 0.0, 0), r"what is no noise changes by \+2.0 dB"),
        (Effect(3.0, -0.2, 0.0, 0), "the noise in pauses falls by 3.0 dB, before 10.0"),
        (Effect(10.0, -0.2, 12.0, 0), "comes out 12.0 ms late"),
        (Effect(10.0, -0.2, 0.0, 5), "5 samples clip"),
    ],
)
def test_what_harms_the_users_own_recording_is_not_kept(after, said):
    heard = Heard("film.wav", FINE, after)
    is_kept, reasons = verdict(gain(1.0, 1.2, 0.9, 1.1), "si_sdr", [heard])
    assert not is_kept
    assert any(re.search(said, reason) for reason in reasons[1:])


def test_what_was_as_bad_before_does_not_speak_against_the_new_one():
    before = Effect(noise_fall_db=0.2, active_change_db=-5.0, delay_ms=8.0, n_clipped=9)
    assert not faults_of(Heard("film.wav", before, Effect(1.5, -4.5, 8.0, 9)))
    assert not faults_of(Heard("film.wav", Effect(None, None, 0.0, 0), Effect(None, None, 0.0, 0)))


def test_the_effect_on_a_recording_is_measured():
    rng = np.random.default_rng(0)
    clean = np.concatenate([speech_like(2, RATE, seed=1), np.zeros(RATE), speech_like(2, RATE, seed=2)])
    hiss = 0.003 * rng.standard_normal(len(clean))
    effect = effect_of(clean + hiss, 0.5 * clean + 0.05 * hiss, RATE)
    assert effect.noise_fall_db == pytest.approx(26, abs=0.5)
    assert effect.active_change_db == pytest.approx(-6, abs=0.5)
    late = effect_of(clean + hiss, np.concatenate([np.zeros(80), (clean + hiss)[:-80]]), RATE)
    assert late.delay_ms == pytest.approx(10)


# All of it


def adapted_with(start, material, folder, shown, *words):
    config = run_config(start, material, minutes=60, settings=["training.workers=0", "training.batch_size=2", *words])
    return adapt(start, material, config, folder, shown)


def test_a_model_that_learns_is_kept_and_restores(pairs, start, tmp_path, shown):
    material = from_pairs(*pairs, tmp_path / "out/material", silent)
    words = ("training.steps=30", "training.validate_every=15", "optimiser.lr=3e-2", "ema=null")
    adapted = adapted_with(start, material, tmp_path / "out", shown, *words)
    told = json.loads((tmp_path / "out/adapt.json").read_text())
    assert told["metric"] == "si_sdr"
    assert told["gain"]["mean"] == pytest.approx(adapted.gain.mean)
    assert adapted.gain.n == 2  # segments of the one pair that decides
    assert adapted.gain.mean > 1  # against a network of random weights
    assert told["kept"] == (adapted.gain.low > 0 and not faults_of(adapted.heard[0]))
    assert load_model(tmp_path / "out/run").config == load_model(start).config


def test_a_model_that_learns_nothing_is_not_kept(film, start, tmp_path, shown):
    material = from_noisy([film], RATE, tmp_path / "out/material", silent)
    words = ("training.steps=2", "training.validate_every=1", "optimiser.lr=1e-12", "ema=null")
    adapted = adapted_with(start, material, tmp_path / "out", shown, *words)
    assert not adapted.is_kept
    assert adapted.gain.n > 1
    assert "no better than before" in adapted.reasons[0]
    assert not (tmp_path / "out/model").exists()
    assert json.loads((tmp_path / "out/adapt.json").read_text())["kept"] is False


def test_what_is_learnt_from_clean_corpora_is_decided_by_voices_never_heard(film, corpora, start, tmp_path, shown):
    material = from_recordings([film], corpora, tmp_path / "out/material", silent)
    words = ("training.steps=30", "training.validate_every=15", "optimiser.lr=3e-2", "ema=null")
    adapted = adapted_with(start, material, tmp_path / "out", shown, *words)
    assert adapted.gain.n == 12
    assert adapted.gain.low > 0, adapted.reasons  # against a network of random weights
    assert len(adapted.heard) == 1

"""The band of a preset's validations: checked, and told of as soon as a validation leaves it."""

import json

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("lightning", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.training.config import load_run_config  # noqa: E402
from resound.training.expected import ExpectedConfig  # noqa: E402
from resound.training.fit import train  # noqa: E402


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("expected={at: {4: [3, 1]}}", "write the lower one first"),
        ("expected={at: {0: [1, 2]}}", "greater than or equal to 1"),
        ("expected={at: {}}", "expected.at"),
        ("expected={metric: si_sdri, at: {4: [1, 2]}}", "did you mean 'si_sdr_i'?"),
        ("expected={at: {4: 1}}", "expected.at.4"),
        ("expected={att: 4}", "did you mean 'at'?"),
    ],
)
def test_a_wrong_band_is_told_with_its_place(plan, word, told):
    with pytest.raises(ConfigError, match="expected") as raised:
        plan(word)
    assert told in str(raised.value)


def off_at(folder):
    found = json.loads((folder / "findings.json").read_text())["findings"]
    return [(finding["code"], finding["step"]) for finding in found if finding["code"] == "RUN11"]


def test_a_run_off_the_path_says_so_once(tmp_path, plan, shown):
    train(plan("expected={metric: si_sdr, at: {4: [90, 99], 8: [90, 99]}}"), tmp_path / "run", shown)
    assert len([line for line in shown.lines if line.startswith("RUN11")]) == 1
    assert off_at(tmp_path / "run") == [("RUN11", 4)]
    assert "at step 4 SI-SDR is" in (tmp_path / "run/console.log").read_text()


def test_a_run_on_the_path_has_no_finding(tmp_path, plan, shown):
    train(plan("expected={metric: si_sdr, at: {4: [-99, 99], 8: [-99, 99]}}"), tmp_path / "run", shown)
    assert off_at(tmp_path / "run") == []


def test_what_was_found_stays_when_the_run_goes_on(tmp_path, plan, shown):
    train(
        plan("training.steps=4", "expected={metric: si_sdr, at: {4: [90, 99], 8: [90, 99]}}"), tmp_path / "run", shown
    )
    band = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["expected"]
    assert band == {"metric": "si_sdr", "at": {"4": [90.0, 99.0], "8": [90.0, 99.0]}}
    going_on = load_run_config(str(tmp_path / "run/config.yaml"), ["training.steps=8"])
    train(going_on, tmp_path / "run", shown, resume=True)
    assert off_at(tmp_path / "run") == [("RUN11", 4)]
    assert len([line for line in shown.lines if line.startswith("RUN11")]) == 1


@pytest.fixture
def preset(monkeypatch):
    """A preset with one band for its full form and another for its quick form."""
    from resound.training import config

    original = config.load_preset
    bands = {"train": {"at": {1000: [3, 5]}}, "quick": {"at": {250: [1, 2]}}}

    def with_bands(name):
        loaded = original(name)
        return loaded.model_copy(
            update={form: {**getattr(loaded, form), "expected": bands[form]} for form in ("train", "quick")}
        )

    monkeypatch.setattr(config, "load_preset", with_bands)
    return "gatewave"


def test_each_form_of_a_preset_has_its_own_band(preset):
    assert load_run_config(preset).expected == ExpectedConfig(at={1000: (3, 5)})
    assert load_run_config(preset, quick=True).expected == ExpectedConfig(at={250: (1, 2)})


def test_the_band_holds_for_the_presets_own_training_alone(preset, tmp_path):
    def expected(*words):
        return load_run_config(preset, words, quick=True).expected

    assert expected("training.workers=0", "tracker=none", "training.seed=5") is not None
    assert expected("optimiser.lr=0.5") is None
    assert expected("data.segment_seconds=3") is None
    assert expected("training.steps=3000") is None
    assert expected("optimiser.lr=0.5", "expected={at: {7: [0, 1]}}") == ExpectedConfig(at={7: (0, 1)})
    own = tmp_path / "own.yaml"
    own.write_text("preset: gatewave\ndata: {segment_seconds: 3}\n")
    assert load_run_config(str(own), quick=True).expected is None


def test_a_band_in_a_file_replaces_that_of_its_preset(preset, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("preset: gatewave\nexpected: {at: {50: [0, 1]}}\n")
    assert load_run_config(str(own), quick=True).expected == ExpectedConfig(at={50: (0, 1)})

"""Chains: read from YAML, drawn, replayed, written back."""

import json
import pickle

import numpy as np
import pytest
import yaml

from resound.degrade.chain import (
    DEGRADATIONS,
    Chain,
    apply_chain,
    apply_chain_to_pair,
    chain_names,
    load_chain,
    n_samples_needed,
    read_chain,
    read_drawn,
)
from resound.degrade.chain_text import chain_text
from resound.errors import ConfigError
from signals import speech_like

RATE = 16000
GROUPS = {
    "about": "groups in groups",
    "steps": [
        {"hiss": {"snr_db": [20, 30]}, "probability": 0.5},
        {"one_of": [{"holes": {"depth_db": {"log": [10, 60]}}, "weight": 3}, {"dull": None}]},
        {
            "any_order": [{"musical_noise": {}}, {"one_of": [{"over_gate": {}}, {"hiss": {}}]}],
            "probability": 0.7,
        },
        {"hiss": {"snr_db": {"one_of": [10, 20]}}, "target": "same"},
    ],
}


def names(drawn):
    return [next(key for key in line if key != "target") for line in drawn]


def draw(written, seed=1):
    return read_chain(written, "test").draw(np.random.default_rng(seed))


def sound(seconds=0.5):
    return speech_like(max(seconds, 1.0), RATE)[np.newaxis, : round(seconds * RATE)].astype(np.float32)


# What is drawn


def test_the_same_seed_draws_the_same_and_another_does_not():
    assert draw(GROUPS, 3) == draw(GROUPS, 3)
    assert draw(GROUPS, 3) != draw(GROUPS, 4)


def test_what_is_drawn_is_plain_json():
    for seed in range(20):
        drawn = draw(GROUPS, seed)
        assert json.loads(json.dumps(drawn)) == drawn


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_a_step_comes_as_often_as_its_probability_says(probability):
    chain = read_chain({"steps": [{"dull": {}, "probability": probability}]}, "test")
    rng = np.random.default_rng(0)
    share = np.mean([len(chain.draw(rng)) for _ in range(1000)])
    assert share == pytest.approx(probability, abs=0.04)
    assert share in (0, 1) or 0 < probability < 1


def test_one_of_takes_each_by_its_weight():
    chain = read_chain({"steps": [{"one_of": [{"dull": {}, "weight": 3}, {"hiss": {}}]}]}, "test")
    rng = np.random.default_rng(0)
    drawn = [names(chain.draw(rng)) for _ in range(1000)]
    assert all(len(line) == 1 for line in drawn)
    assert np.mean([line == ["dull"] for line in drawn]) == pytest.approx(0.75, abs=0.04)


def test_any_order_takes_all_in_each_order():
    chain = read_chain({"steps": [{"any_order": [{"dull": {}}, {"hiss": {}}, {"holes": {}}]}]}, "test")
    rng = np.random.default_rng(0)
    orders = {tuple(names(chain.draw(rng))) for _ in range(200)}
    assert len(orders) == 6
    assert all(sorted(order) == ["dull", "hiss", "holes"] for order in orders)


def test_another_probability_of_one_step_changes_nothing_else():
    steps = [{"hiss": {}}, {"dull": {}, "probability": 0.9}, {"holes": {}}]
    often, never = ({"steps": [steps[0], {**steps[1], "probability": p}, steps[2]]} for p in (1.0, 0.0))
    with_it = draw(often)
    assert draw(never) == [with_it[0], with_it[2]]
    assert draw({"steps": steps})[1:2] in ([with_it[1]], [with_it[2]])


def test_a_step_more_changes_nothing_else():
    before = draw({"steps": [{"hiss": {}}, {"holes": {}}, {"hiss": {}}]})
    after = draw({"steps": [{"dull": {}}, {"hiss": {}}, {"holes": {}}, {"one_of": [{"hiss": {}}]}, {"hiss": {}}]})
    assert [line for line in before if line not in after] == []


def test_two_steps_of_one_name_draw_apart():
    first, second = draw({"steps": [{"hiss": {}}, {"hiss": {}}]})
    assert first != second


def test_another_weight_leaves_the_parameters_of_what_is_chosen():
    light, heavy = (
        draw({"steps": [{"one_of": [{"dull": {}, "weight": w}, {"hiss": {}, "weight": 1e-9}]}]}) for w in (1, 5)
    )
    assert light == heavy


# What is applied


def test_a_replay_from_json_gives_the_same_samples():
    drawn = draw(GROUPS, 5)
    audio = sound()
    again = apply_chain(audio, RATE, json.loads(json.dumps(drawn)))
    np.testing.assert_array_equal(apply_chain(audio, RATE, drawn), again)


def test_the_target_gets_only_what_is_wished_for():
    audio = sound()
    params = DEGRADATIONS["dull"]().draw(np.random.default_rng(0))
    kept = apply_chain_to_pair(audio, RATE, [{"dull": params}])
    both = apply_chain_to_pair(audio, RATE, [{"dull": params, "target": "same"}])
    np.testing.assert_array_equal(kept.target, audio)
    np.testing.assert_array_equal(both.target, both.degraded)
    np.testing.assert_array_equal(kept.degraded, both.degraded)
    assert not np.array_equal(kept.degraded, audio)


def test_a_step_with_target_clean_never_reaches_the_target():
    audio = sound()
    params = {**DEGRADATIONS["synthetic_room"](target="reverberant").draw(np.random.default_rng(0))}
    asked = apply_chain_to_pair(audio, RATE, [{"synthetic_room": params}])
    refused = apply_chain_to_pair(audio, RATE, [{"synthetic_room": params, "target": "clean"}])
    np.testing.assert_array_equal(asked.target, asked.degraded)
    np.testing.assert_array_equal(refused.target, audio)


def test_steps_that_keep_the_length_need_no_more_samples():
    assert n_samples_needed(1000, draw(GROUPS)) == 1000


# What is written


@pytest.mark.parametrize("name", chain_names())
def test_a_chain_written_and_read_is_the_same_chain(name):
    chain = load_chain(name)
    again = read_chain(yaml.safe_load(chain_text(chain)), "again")
    assert again == chain
    assert again.draw(np.random.default_rng(2)) == chain.draw(np.random.default_rng(2))


def test_groups_are_written_as_they_are_read():
    text = chain_text(read_chain(GROUPS, "test"))
    assert read_chain(yaml.safe_load(text), "again") == read_chain(GROUPS, "test")
    assert "  - hiss: {snr_db: [20, 30]}\n    probability: 0.5\n" in text


def test_a_chain_goes_to_another_process():
    chain = read_chain(GROUPS, "test")
    assert pickle.loads(pickle.dumps(chain)) == chain


def test_a_chain_inside_another_config_is_dumped_in_its_notation():
    assert Chain.model_validate(read_chain(GROUPS, "test").model_dump()) == read_chain(GROUPS, "test")


# Files and overrides


def test_a_file_is_read_once_and_again_when_it_changed(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("steps:\n  - hiss: {snr_db: 20}\n")
    first = load_chain(path)
    assert load_chain(path) is first
    path.write_text("steps:\n  - hiss: {snr_db: 30}\n  - dull: {}\n")
    assert len(load_chain(path).steps) == 2


def test_an_override_reaches_each_step_of_its_name(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("steps:\n  - hiss:\n  - one_of:\n      - hiss: {snr_db: 20}\n      - dull: {}\n")
    drawn = load_chain(path, ["hiss.snr_db=7", "dull.probability=0"])
    for seed in range(10):
        lines = drawn.draw(np.random.default_rng(seed))
        assert [line["hiss"]["snr_db"] for line in lines] == [7] * len(lines)


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("hiss", "'hiss' is not a setting of a step; write step.setting=value"),
        ("his.snr_db=1", "has no step 'his' (did you mean 'hiss'?)"),
        ("hiss.snr=1", "step 1 (hiss): snr: no such setting (did you mean 'snr_db'?)"),
        ("hiss.probability=2", "step 1 (hiss): probability: input should be less than or equal to 1, got 2"),
    ],
)
def test_a_wrong_override_is_named(tmp_path, word, fault):
    path = tmp_path / "own.yaml"
    path.write_text("steps:\n  - hiss:\n")
    with pytest.raises(ConfigError) as raised:
        load_chain(path, [word])
    assert fault in str(raised.value)


# What users get wrong


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ({"steps": []}, "a chain needs at least one step"),
        ({"step": [{"hiss": {}}]}, "step: no such setting (did you mean 'steps'?)"),
        ({"steps": {"hiss": {}}}, "steps: is a list, each step a line that starts with '- '"),
        ({"steps": ["hiss"]}, "step 1 (no name): a step is written as 'hiss: {snr_db: 20}', not 'hiss'"),
        ({"steps": [{"hiss": 20}]}, "step 1 (hiss): settings are written as 'hiss: {setting: value}', not 20"),
        ({"steps": [{"hiss": {}}, {"his": {}}]}, "step 2 (his): 'his' is no degradation (did you mean 'hiss'?)"),
        (
            {"steps": [{"dull": {"cutof_hz": 1}}]},
            "step 1 (dull): cutof_hz: no such setting (did you mean 'cutoff_hz'?)",
        ),
        ({"steps": [{"dull": {"ratio": 9}}]}, "step 1 (dull): ratio: more than 5, the most that makes sense, got 9"),
        ({"steps": [{"hiss": {}, "probabilty": 1}]}, "'probabilty' is no key of a step (did you mean 'probability'?)"),
        ({"steps": [{"hiss": {}, "dull": {}}]}, "a step names one degradation or one group, here hiss, dull"),
        ({"steps": [{"probability": 1}]}, "step 1 (no name): names no degradation"),
        ({"steps": [{"hiss": {}, "probability": 2}]}, "step 1 (hiss): probability: input should be less than or equal"),
        ({"steps": [{"hiss": {}, "target": "x"}]}, "step 1 (hiss): target: input should be 'auto', 'same' or 'clean'"),
        ({"steps": [{"hiss": {}, "weight": 2}]}, "weight has a meaning only within one_of"),
        ({"steps": [{"one_of": [{"hiss": {}, "weight": 0}]}]}, "step 1 (one_of), part 1 (hiss): weight: input should"),
        ({"steps": [{"any_order": [{"hiss": {}, "weight": 1}]}]}, "step 1 (any_order): weight has a meaning only"),
        ({"steps": [{"one_of": []}]}, "step 1 (one_of): a group is a list of steps"),
        ({"steps": [{"one_of": [{"hiss": {}}], "target": "same"}]}, "target belongs to the steps of a group"),
        (
            {"steps": [{"hiss": {}}, {"one_of": [{"hiss": {}}, {"any_order": [{"dull": {"rati": 1}}]}]}]},
            "step 2 (one_of), part 2 (any_order), part 1 (dull): rati: no such setting (did you mean 'ratio'?)",
        ),
    ],
)
def test_a_fault_is_said_with_the_step_it_is_in(written, fault):
    with pytest.raises(ConfigError) as raised:
        read_chain(written, "own.yaml")
    assert str(raised.value).startswith("own.yaml: ")
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_chain_names_the_nearest():
    with pytest.raises(ConfigError, match=r"film-1690s: no such chain \(did you mean 'film-1960s'\?\)"):
        load_chain("film-1690s")


def test_a_preset_is_a_name_and_no_way_to_a_file():
    with pytest.raises(ConfigError, match=r"\.\./chains/lp: no such chain"):
        load_chain("../chains/lp")


def test_groups_without_end_are_one_line(tmp_path):
    path = tmp_path / "deep.yaml"
    path.write_text("steps: " + "[{one_of: " * 300 + "[{hiss: {}}]" + "}]" * 300)
    with pytest.raises(ConfigError, match=r"deep\.yaml: .*nested"):
        load_chain(path)
    path.write_text("steps: &a\n  - one_of: *a\n")
    for overrides in ([], ["hiss.snr_db=3"]):
        with pytest.raises(ConfigError, match=r"deep\.yaml: "):
            load_chain(path, overrides)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"own\.yaml: no such file"):
        load_chain(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("drawn", "fault"),
    [
        (3, "drawn steps: 3 is no list of steps"),
        ([3], "drawn step 1: 3 is no drawn step"),
        ([{"his": {}}], "drawn step 1: 'his' is no degradation (did you mean 'hiss'?)"),
        ([{"over_gate": {"threshold_db": "high", "reduction_db": 3, "release_ms": 1}}], "threshold_db: input"),
        ([{"over_gate": {"threshold_db": 1, "reduction_db": 3}}], "over_gate: release_ms: is missing"),
        (
            [{"over_gate": {"threshold_db": 1, "reduction_db": 3, "release_ms": 1, "relase": 2}}],
            "relase: no such setting (did you mean 'release_ms'?)",
        ),
        (
            [{"over_gate": {"threshold_db": float("inf"), "reduction_db": 3, "release_ms": 1}}],
            "threshold_db: input should be a finite number",
        ),
        ([{"dull": {}, "target": "both"}], "target is one of auto, same, clean, not 'both'"),
    ],
)
def test_a_wrong_replay_is_said_with_its_step(drawn, fault):
    with pytest.raises(ConfigError) as raised:
        read_drawn(drawn)
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)


# The chains that come with the package


@pytest.mark.parametrize("name", chain_names())
@pytest.mark.parametrize(("rate", "n_channels"), [(8000, 1), (16000, 2), (44100, 1), (48000, 2)])
def test_a_preset_works_at_any_rate_without_recordings(name, rate, n_channels):
    voice = speech_like(1.0, rate).astype(np.float32)
    audio = np.stack([voice, 0.5 * voice][:n_channels])
    chain = load_chain(name)
    assert chain.about
    for seed in range(3):
        drawn = chain.draw(np.random.default_rng(seed))
        pair = apply_chain_to_pair(audio, rate, drawn)
        assert pair.degraded.shape == pair.target.shape == audio.shape
        assert pair.degraded.dtype == np.float32
        assert np.isfinite(pair.degraded).all()
        assert not np.array_equal(pair.degraded, audio)


@pytest.mark.parametrize("name", sorted(set(chain_names()) - {"denoiser-artefacts"}))
def test_a_preset_moves_nothing_in_time_but_by_wow(name):
    voice = speech_like(1.5, RATE)[np.newaxis].astype(np.float32)
    for seed in range(3):
        drawn = load_chain(name, ["wow_flutter.probability=0"] if "wow_flutter" in chain_text(load_chain(name)) else [])
        pair = apply_chain_to_pair(voice, RATE, drawn.draw(np.random.default_rng(seed)))
        # By the phases from 800 Hz to 3 kHz (GCC-PHAT): a carrier that ends in the bass turns those of its last octave.
        spectrum = np.fft.rfft(pair.degraded[0], 1 << 16) * np.conj(np.fft.rfft(pair.target[0], 1 << 16))
        inside = slice(round(800 / RATE * (1 << 16)), round(3000 / RATE * (1 << 16)))
        phases = np.zeros_like(spectrum)
        phases[inside] = spectrum[inside] / np.maximum(np.abs(spectrum[inside]), 1e-12)
        likeness = np.fft.irfft(phases)
        assert abs((int(np.argmax(likeness)) + 1000) % (1 << 16) - 1000) <= 1


def test_a_chain_within_a_chain_gives_its_steps_in_their_order():
    inner = [{"gain": {"gain_db": 3}}, {"hiss": {"snr_db": 20}}, {"dc": {}}]
    chain = read_chain({"steps": [{"chain": inner}, {"polarity": {}}]}, "test")
    for seed in range(5):
        assert [next(iter(line)) for line in chain.draw(np.random.default_rng(seed))] == [
            "gain", "hiss", "dc", "polarity",
        ]  # fmt: skip


def test_a_chain_within_a_chain_may_be_named():
    chain = read_chain({"steps": [{"chain": "telephone"}, {"gain": {"gain_db": 1}}]}, "test")
    drawn = chain.draw(np.random.default_rng(0))
    assert len(drawn) > 2
    assert "gain" in drawn[-1]


def test_a_chain_that_names_itself_is_told(tmp_path):
    path = tmp_path / "endless.yaml"
    path.write_text(f"steps:\n  - chain: {path}\n")
    with pytest.raises(ConfigError) as raised:
        load_chain(path)
    assert str(raised.value) == f"{path} > {path}: a chain within itself has no end; take it out there"


def test_an_unknown_chain_within_a_chain_is_named():
    with pytest.raises(ConfigError, match=r"step 1 \(chain\): film-1961s: no such chain \(did you mean 'film-1960s'"):
        read_chain({"steps": [{"chain": "film-1961s"}]}, "test")

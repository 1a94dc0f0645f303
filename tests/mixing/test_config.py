"""Settings for mixing: paths are found whatever the working directory, and faults are told in the words of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from resound.errors import ConfigError
from resound.mixing.config import load_mixing, mixing_from
from resound.mixing.stream import open_examples


@pytest.fixture
def project(write_corpus, speech_corpus, here) -> Path:
    """A folder below the working directory with settings, a chain in a file, and all that they name."""
    folder = here / "project"
    folder.mkdir()
    for name in ("speech.jsonl", "speech"):
        (here / name).rename(folder / name)
    (folder / "inner.yaml").write_text("steps:\n  - noise: {bank: speech, snr_db: 10}\n")
    (folder / "outer.yaml").write_text("steps:\n  - chain: inner.yaml\n  - noise: {bank: speech, snr_db: 10}\n")
    return folder


def write(path: Path, chain: str, corpus: str = "speech.jsonl") -> Path:
    path.write_text(f"sample_rate: 8000\nsegment_seconds: 1\nclean: {{corpus: {corpus}}}\nchain: {chain}\n")
    return path


@pytest.mark.parametrize("chain", ["[{noise: {bank: speech, snr_db: 10}}]", "inner.yaml"])
def test_relative_paths_are_looked_for_beside_the_file(project, chain):
    config = load_mixing(write(project / "mix.yaml", chain))
    assert config.clean[0].corpus == (project / "speech.jsonl",)
    assert config.chain.steps[0].degradation.bank == str(project / "speech")
    open_examples(config).example(0, 0)


def test_a_source_chain_is_looked_for_beside_the_file_too(project):
    path = project / "mix.yaml"
    path.write_text("task: separate\nspeech: {corpus: speech.jsonl}\nsource_chain: inner.yaml\n")
    assert load_mixing(path).source_chain.steps[0].degradation.bank == str(project / "speech")
    path.write_text("task: separate\nspeech: {corpus: speech.jsonl}\nsource_chain: gone.yaml\n")
    with pytest.raises(ConfigError, match=r"source_chain: gone\.yaml is not there"):
        load_mixing(path)


def test_chains_whose_steps_were_all_left_out_are_none_where_none_is_needed():
    config = mixing_from({"task": "separate", "speech": {"corpus": "a.jsonl"}, "chain": [], "source_chain": []})
    assert (config.chain, config.source_chain) == (None, None)
    with pytest.raises(ConfigError, match="a chain needs at least one step"):
        mixing_from({"task": "enhance", "clean": {"corpus": "a.jsonl"}, "chain": []})


def test_what_is_not_beside_the_file_is_looked_for_in_the_working_directory(project, here):
    (project / "speech.jsonl").rename(here / "own.jsonl")
    config = load_mixing(write(project / "mix.yaml", "inner.yaml", "own.jsonl"))
    assert config.clean[0].corpus == (Path("own.jsonl"),)


def test_a_path_in_a_word_is_one_of_the_working_directory(project, here):
    (here / "speech.jsonl").write_text("")
    config = load_mixing(write(project / "mix.yaml", "inner.yaml"), ["clean.corpus=speech.jsonl"])
    assert config.clean[0].corpus == (Path("speech.jsonl"),)


def test_a_path_that_is_nowhere_is_told_with_the_places(project, here):
    path = write(project / "mix.yaml", "inner.yaml", "absent.jsonl")
    with pytest.raises(ConfigError) as error:
        load_mixing(path)
    assert f"corpus: absent.jsonl is not there (looked in {project} and in {here}); mend" in str(error.value)
    with pytest.raises(ConfigError, match=r"corpus: /nowhere/a\.jsonl is not there; mend"):
        load_mixing(path, ["clean.corpus=/nowhere/a.jsonl"])


def test_a_fault_in_a_chain_is_told_with_its_step():
    values = {"clean": {"corpus": "a.jsonl"}, "chain": [{"hiss": {}}, {"hiss": {"snr": 3}}]}
    with pytest.raises(ConfigError, match=r"^mix\.yaml: chain: step 2 \(hiss\): "):
        mixing_from(values, "mix.yaml")


@pytest.mark.parametrize("levels", ["foo", [1, 2, 3], 5])
def test_levels_are_a_name_or_a_range(levels):
    values = {"task": "separate", "speech": {"corpus": "a.jsonl"}, "levels": levels}
    if levels == 5:
        assert mixing_from(values).levels.ends == (5, 5)
        return
    with pytest.raises(ConfigError) as error:
        mixing_from(values)
    assert str(error.value).startswith("levels: ")
    assert not any(word in str(error.value) for word in ("literal", "Spread", "function", ";"))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0])
def test_a_segment_lasts_a_number_of_seconds(seconds):
    with pytest.raises(ConfigError, match="segment_seconds: "):
        mixing_from({"clean": {"corpus": "a.jsonl"}, "chain": "film-1960s", "segment_seconds": seconds})


def test_settings_of_another_task_are_told_by_its_name():
    with pytest.raises(ConfigError, match=r"chain: belongs to task: enhance, this one is pairs; change the task"):
        mixing_from({"task": "pairs", "clean": [{"corpus": "a.jsonl"}], "chain": "film-1960s"})
    with pytest.raises(ConfigError, match=r"speech, n_speakers: belongs to task: separate, this one is enhance"):
        mixing_from({"speech": {"corpus": "a.jsonl"}, "n_speakers": 3})

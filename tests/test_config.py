"""Settings: what is wrong is named with its place, its value, and the nearest that would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from resound.classic.chain import ClassicConfig
from resound.config import load_config, read_yaml, set_dotted, validated, value_at
from resound.errors import ConfigError, did_you_mean, one_line


def refusal(*words: str, path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(ClassicConfig, path, words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_words_the_defaults_hold():
    assert load_config(ClassicConfig) == ClassicConfig()


def test_words_win_over_the_file_and_the_file_over_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text("dehiss: {max_reduction_db: 20, floor_seconds: 5}\norder: [dehiss, declick]\n")
    config = load_config(ClassicConfig, tmp_path / "c.yaml", ["dehiss.max_reduction_db=18", "dehum.enabled=false"])
    assert config.dehiss.max_reduction_db == 18
    assert config.dehiss.floor_seconds == 5
    assert config.order == ("dehiss", "declick")
    assert config.dehum.enabled is False
    assert config.declick == ClassicConfig().declick


def test_a_number_may_be_written_with_an_exponent(tmp_path):
    (tmp_path / "c.yaml").write_text("dehiss: {max_reduction_db: 2e1}\n")
    assert load_config(ClassicConfig, tmp_path / "c.yaml").dehiss.max_reduction_db == 20
    assert load_config(ClassicConfig, None, ["dehiss.max_reduction_db=150e-1"]).dehiss.max_reduction_db == 15


def test_a_key_that_comes_twice_is_named_with_its_line(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("dehiss:\n  floor_seconds: 5\n  floor_seconds: 6\n")
    assert refusal(path=path) == f"{path}: 'floor_seconds' comes twice in line 3; keep one of the two"
    path.write_text("base: &base {enabled: true}\nother:\n  <<: *base\n  enabled: false\n")  # this is no such case
    assert read_yaml(path)["other"] == {"enabled": False}


def test_what_is_nested_without_end_is_one_line(tmp_path):
    (tmp_path / "c.yaml").write_text("[" * 100_000)
    assert "is nested too deep to be read" in refusal(path=tmp_path / "c.yaml")


def test_an_empty_file_is_the_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text("# nothing yet\n")
    assert load_config(ClassicConfig, tmp_path / "c.yaml") == ClassicConfig()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("dehiss", "'dehiss' is not a setting; write key=value"),
        ("=3", "'=3' is not a setting"),
        ("dehis.x=3", "dehis: no such setting (did you mean 'dehiss'?)"),
        ("dehiss.max_reduction=3", "dehiss.max_reduction: no such setting (did you mean 'max_reduction_db'?)"),
        ("qqq=3", "qqq: no such setting (there are order, skip, declick, dehum, dehiss)"),
        ("dehiss.max_reduction_db=loud", "dehiss.max_reduction_db: input should be a valid number"),
        ("dehiss.max_reduction_db=-1", "should be greater than or equal to 0, got -1"),
        ("dehiss.max_reduction_db=[1", "'[1' cannot be read as a value; put it in quotes"),
        ("dehiss.max_reduction_db=2001-99-99", "cannot be read as a value; put it in quotes"),
        ("dehiss.max_reduction_db=", "dehiss.max_reduction_db: has no value; write one"),
        ("dehiss=" + "[" * 5000, "cannot be read as a value"),
        ("dehiss=3", "dehiss: input should be"),
        ("order=[dehum, dehum]", "a stage can come only once"),
        ("order=[dehmu]", "order.0: input should be 'declick', 'dehum' or 'dehiss', got 'dehmu'"),
    ],
)
def test_a_wrong_word_is_named(word, message):
    assert message in refusal(word)


class Circle(BaseModel):
    model_config = ConfigDict(extra="forbid")
    shape: Literal["circle"] = "circle"
    radius_mm: float = 1.0


class Square(BaseModel):
    model_config = ConfigDict(extra="forbid")
    shape: Literal["square"] = "square"
    side_mm: float = 1.0


class Drawing(BaseModel):
    parts: tuple[Annotated[Circle | Square, Field(discriminator="shape")], ...]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"shape": "sqare"}, "parts.1.shape: no such shape 'sqare' (did you mean 'square'?)"),
        ({"shape": "line"}, "parts.1.shape: no such shape 'line' (there are circle, square)"),
        ({}, "parts.1.shape: is missing"),
        ({"shape": "circle", "radius": 2}, "parts.1.radius: no such setting (did you mean 'radius_mm'?)"),
        ({"shape": "square", "radius_mm": 2}, "parts.1.radius_mm: no such setting (there are shape, side_mm)"),
    ],
)
def test_faults_of_one_of_several_kinds_are_told_by_the_key_that_was_written(part, message):
    with pytest.raises(ConfigError) as caught:
        validated(Drawing, {"parts": [{"shape": "circle"}, part]})
    assert str(caught.value) == message


def test_a_value_has_no_settings_of_its_own():
    assert "'dehiss' is a single value" in refusal("dehiss=3", "dehiss.max_reduction_db=4")


def test_every_fault_is_told_at_once():
    told = refusal("dehiss.max_reduction_db=99", "dehum.nope=1")
    assert "dehiss.max_reduction_db" in told
    assert "dehum.nope" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", "holds no settings but [1, 2]; write 'key: value' lines"),
        (b"a: [1\n", "is not valid YAML in line"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"1: 2\n", "1: "),
        (b"dehiss: 2001-99-99\n", "holds a value that cannot be read"),
        (b"!!python/object/apply:os.getcwd []\n", "is not valid YAML in line 1"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    (tmp_path / "c.yaml").write_bytes(content)
    told = refusal(path=tmp_path / "c.yaml")
    assert told.startswith(f"{tmp_path / 'c.yaml'}: ")
    assert message in told


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert "no.yaml: no such file; give the path of a YAML file" in refusal(path=tmp_path / "no.yaml")
    assert refusal(path=tmp_path) == f"{tmp_path}: cannot be read (Is a directory); give a YAML text file"


def test_the_nearest_name_is_offered_only_when_it_is_near():
    assert did_you_mean("clasic", ["auto", "classic"]) == " (did you mean 'classic'?)"
    assert did_you_mean("demucs", ["auto", "classic"]) == ""


def test_controls_in_a_message_are_spelled_out():
    assert one_line("a\nb\x1b[31m\udcff é 音") == "a\\nb\\x1b[31m\\udcff é 音"


def test_a_number_in_a_key_is_an_item_of_a_list():
    values = {"loss": [{"kind": "l1"}, {"kind": "mse", "sizes": [1, 2]}]}
    set_dotted(values, "loss.1.weight=0.5")
    set_dotted(values, "loss.1.sizes.0=7")
    assert values == {"loss": [{"kind": "l1"}, {"kind": "mse", "sizes": [7, 2], "weight": 0.5}]}
    assert value_at(values, "loss.1.sizes.1") == 2
    assert value_at(values, "loss.2.sizes") is value_at(values, "loss.kind") is value_at(values, "loss.0.x.y") is None


@pytest.mark.parametrize("key", ["loss.2.weight", "loss.-1.weight", "loss.weight", "loss.x.weight"])
def test_an_item_that_a_list_has_not_is_refused(key):
    with pytest.raises(ConfigError, match=rf"^{key}: .* is no item of that list; there are those from 0 to 1$"):
        set_dotted({"loss": [{"kind": "l1"}, {"kind": "mse"}]}, f"{key}=1")
    with pytest.raises(ConfigError, match="there are none"):
        set_dotted({"loss": []}, f"{key}=1")


def test_a_number_in_a_key_of_a_mapping_is_a_name():
    values: dict = {}
    set_dotted(values, "a.0=1")
    assert values == {"a": {"0": 1}}

import numpy as np
import pytest
from pydantic import ValidationError

from resound.classic.chain import ClassicConfig, build_stages
from resound.errors import ConfigError


def names(config: ClassicConfig) -> list[str]:
    return [stage.name for stage in build_stages(config, 48000)]


def test_all_stages_run_clicks_first():
    assert names(ClassicConfig()) == ["declick", "dehum", "dehiss"]


def test_stages_are_chosen_left_out_switched_off_and_reordered():
    assert names(ClassicConfig().with_stages(only=["dehiss", "declick"])) == ["declick", "dehiss"]
    assert names(ClassicConfig().with_stages(skip=["dehum"])) == ["declick", "dehiss"]
    assert names(ClassicConfig(declick={"enabled": False})) == ["dehum", "dehiss"]
    assert names(ClassicConfig(order=("dehiss", "declick"))) == ["dehiss", "declick"]


def test_stages_may_come_in_one_word():
    assert names(ClassicConfig().with_stages(only=["declick, dehum"])) == ["declick", "dehum"]
    assert names(ClassicConfig().with_stages(skip=["declick,dehum"])) == ["dehiss"]


def test_an_unknown_stage_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'declick'"):
        ClassicConfig().with_stages(only=["declik"])


def test_nothing_left_to_run_is_an_error():
    with pytest.raises(ConfigError, match="no stage is left"):
        ClassicConfig().with_stages(only=["dehum"], skip=["dehum"])


def test_a_stage_comes_only_once():
    with pytest.raises(ValidationError, match="only once"):
        ClassicConfig(order=("declick", "declick"))


def test_a_depth_reaches_the_noise_reduction():
    config = ClassicConfig().with_max_reduction(20)
    assert config.dehiss.max_reduction_db == 20
    assert ClassicConfig().dehiss.max_reduction_db == 12


@pytest.mark.parametrize("sample_rate", [8000, 11025, 44100, 384000])
def test_stages_work_at_the_recordings_own_rate(sample_rate):
    for stage in build_stages(ClassicConfig(), sample_rate):
        assert stage.sample_rate == sample_rate
        assert stage.context > 0
        block = np.random.default_rng(0).standard_normal((2, 2000))
        assert stage.process(block).shape == block.shape


def test_stages_left_out_twice_over_stay_out():
    config = ClassicConfig(skip=("dehum",))
    assert names(config.with_stages(skip=["dehiss"])) == ["declick"]
    assert names(config.with_stages(only=["dehum", "dehiss"])) == ["dehiss"]
    for empty in (ClassicConfig(order=()), ClassicConfig(skip=("declick", "dehum", "dehiss"))):
        with pytest.raises(ConfigError, match="no stage is left"):
            empty.with_stages()

"""Presets build, and have the parameters that were published."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.models import MODELS  # noqa: E402
from resound.models.network import n_parameters  # noqa: E402
from resound.models.presets import load_preset, preset_names, published_with  # noqa: E402

PUBLISHED = {
    "convtasnet-paper": 5_050_545,
    "convtasnet-student": 1_472_157,
    "demucs48": 18_867_937,
    "demucs64": 33_533_569,
    "film-paper": 71_408_196,
    "film-prototype": 1_880_388,
    "timbre-report": 3_505_856,
    "timbre": 181_324,
    "voice": 73_358,
    "film": 73_358,
    "separate": 3_436_876,
}


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_builds_and_says_what_it_is(name):
    preset = load_preset(name)
    assert preset.network in MODELS
    assert preset.name == name
    assert preset.task
    assert preset.about.endswith(".")
    with torch.device("meta"):
        network = preset.build()
    if name in PUBLISHED:
        assert n_parameters(network) == PUBLISHED[name]
        assert f"{PUBLISHED[name]:,}" in preset.about


def test_every_network_has_a_preset():
    assert {load_preset(name).network for name in preset_names()} == set(MODELS)


def test_an_unknown_preset_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="convtasnet: no such preset \\(did you mean 'convtasnet-"):
        load_preset("convtasnet")
    with pytest.raises(ConfigError, match=r"\.\./chains/lp: no such preset"):
        load_preset("../chains/lp")


def test_a_preset_without_a_set_of_its_own_is_set_beside_those_of_its_network_and_task():
    assert published_with("conv_tasnet", "separate", "convtasnet-student") == load_preset("convtasnet-paper").published
    assert published_with("tf_gridnet", "enhance", "tfgridnet-report") is None
    assert published_with("demucs", "enhance").n_speakers == 28

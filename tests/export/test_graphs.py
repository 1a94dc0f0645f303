"""Every network as an ONNX file does what it does in torch: ten seconds, state fed back, two lengths."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("onnxscript", reason="needs the extra: pip install '.[train]'")

import onnxruntime  # noqa: E402

from contracts.test_networks import TINY  # noqa: E402
from resound.checkpoint import save_model  # noqa: E402
from resound.export.export import export  # noqa: E402
from resound.models import MODELS, build  # noqa: E402

FORMS = [
    ("band_rnn", "streaming"),
    ("band_rnn two ahead", "offline"),
    ("conv_tasnet causal", "streaming"),
    ("conv_tasnet causal, each frame", "streaming"),
    ("conv_tasnet", "offline"),
    ("timbre", "streaming"),
    ("timbre", "offline"),
    ("demucs", "streaming"),
    ("demucs stereo", "streaming"),
    ("demucs both ways", "offline"),
    ("gatewave causal", "streaming"),
    ("gatewave residual", "streaming"),
    ("gatewave", "offline"),
    ("wave_u_net difference", "offline"),
    ("two_stage_unet one stage", "offline"),
    ("tf_gridnet", "offline"),
]


def test_each_network_is_exported_and_each_causal_one_streams():
    exported = {(TINY[key][0], form) for key, form in FORMS}
    streaming = {name for name, config in TINY.values() if build(name, **config).is_causal}
    assert exported == {(name, "offline") for name in MODELS} | {(name, "streaming") for name in streaming}


@pytest.mark.slow
@pytest.mark.parametrize(("key", "form"), FORMS, ids=[f"{key}, {form}" for key, form in FORMS])
def test_the_file_is_the_network(key, form, tmp_path):
    name, config = TINY[key]
    torch.manual_seed(0)
    network = build(name, **config)
    save_model(tmp_path / "model", network)
    made = export(tmp_path / "model", tmp_path / "model.onnx", is_streaming=form == "streaming")
    assert made.agreement.error < 5e-5
    assert made.agreement.seconds > 9.9
    session = onnxruntime.InferenceSession(made.path)
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["form"], facts["network"], int(facts["sample_rate"])) == (form, name, network.sample_rate)
    assert len(facts.get("states", "").splitlines()) == len(session.get_inputs()) - 1

"""A tiny network that streams, and its file, made once."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("onnxscript", reason="needs the extra: pip install '.[train]'")

from contracts.test_networks import BANDS  # noqa: E402
from resound.checkpoint import save_model  # noqa: E402
from resound.export.export import export  # noqa: E402
from resound.models import build  # noqa: E402


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a band_rnn: 8 kHz, hops of 40 samples."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export") / "tiny"
    save_model(folder, build("band_rnn", **BANDS), title="tiny", licence="MIT", source="these tests")
    return folder


@pytest.fixture(scope="session")
def tiny_stream(tiny_model):
    """Its streaming form, in frames of 80 samples."""
    made = export(tiny_model, tiny_model.with_name("tiny.onnx"), is_streaming=True)
    return made.path

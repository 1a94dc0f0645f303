"""The page in native/web runs an exported network in a real browser, and gives what Python gives."""

import http.server
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")
pytest.importorskip("onnxscript", reason="needs the extra: pip install '.[train]'")

from conftest import hiss, write_wav
from evaluation.chromium import NAMES, Browser
from export.conftest import tiny_model, tiny_stream  # noqa: F401
from resound.inference.frames import GraphFrames
from resound.inference.streaming import Stream

WEB = Path(__file__).parents[2] / "native" / "web"
PACKAGE = "onnxruntime-web@1.23"


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of the page with onnxruntime-web beside it, as docs/web.md says."""
    if not any(map(shutil.which, NAMES)) or shutil.which("npm") is None:
        pytest.skip("needs Chromium and npm")
    folder = tmp_path_factory.mktemp("web")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder / "npm"), PACKAGE]
    if subprocess.run(install, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip(f"npm cannot install {PACKAGE} here")
    site = shutil.copytree(WEB, folder / "site")
    shutil.copytree(folder / "npm/node_modules/onnxruntime-web/dist", site / "ort")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()


@pytest.mark.slow
def test_a_recording_is_restored_as_by_python(page, tiny_stream, tmp_path):  # noqa: F811
    sound = hiss(8000 + 123, 2, rms=0.1)
    recording = write_wav(tmp_path / "a.wav", sound, subtype="FLOAT")
    stream = Stream(GraphFrames(tiny_stream), channels=2)
    expected = np.concatenate([stream.process(sound), stream.flush()], axis=1)[:, stream.latency_samples :]
    with Browser(page, 800, 900) as browser:
        browser.choose_file("#model", tiny_stream)
        browser.wait("document.getElementById('facts').textContent")
        assert browser.run("document.getElementById('facts').textContent") == (
            "tiny: 8000 Hz, frames of 10 ms, 10 ms late, licence: MIT"
        )
        browser.choose_file("#sound", recording)
        browser.wait("window.restored")
        restored = np.array(browser.run("window.restored.map((channel) => [...channel])"))
        assert browser.run("document.getElementById('told').textContent").startswith("1.0 s restored in")
        assert browser.run("document.getElementById('save').href").startswith("blob:")
        assert not browser.errors
    np.testing.assert_allclose(restored, expected, atol=2e-4)  # WebAssembly rounds otherwise, and the level is new
    np.testing.assert_allclose(restored[:, 800:], expected[:, 800:], atol=1e-5)


@pytest.mark.slow
def test_wrong_files_are_told(page, tiny_stream, tmp_path):  # noqa: F811
    (tmp_path / "text.onnx").write_text("no model at all")
    (tmp_path / "cut.onnx").write_bytes(tiny_stream.read_bytes()[:5000])
    (tmp_path / "text.wav").write_text("no sound at all")
    told = "document.getElementById('told').textContent"
    with Browser(page) as browser:
        for name, why in (("text.onnx", "none that 'resound export' made|no ONNX model"), ("cut.onnx", "cut short")):
            browser.choose_file("#model", tmp_path / name)
            browser.wait(f"/{why}/.test({told})")
            assert browser.run("document.getElementById('results').hidden")
        browser.choose_file("#model", tiny_stream)
        browser.wait("document.getElementById('facts').textContent")
        browser.choose_file("#sound", tmp_path / "text.wav")
        browser.wait(f"{told} === 'text.wav: this browser cannot decode it'")

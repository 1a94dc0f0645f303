"""The pages of the networks: their code runs, names and numbers are those of the code, the pictures are right."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models import MODELS, discriminators  # noqa: E402
from resound.models.facts import RecurrentLayersAtOnce, build_without_values  # noqa: E402
from resound.models.importers import import_weights  # noqa: E402

ROOT = Path(__file__).parent.parent
PARITY = Path(os.environ.get("RESOUND_PARITY", ROOT.parent / "shared" / "parity"))
sys.path.insert(0, str(ROOT / "scripts"))

import draw_networks  # noqa: E402
from drawing import Box, Dot, Label, Line, Panel, Picture, draw, faults  # noqa: E402

SECONDS = 4
PICTURES = {make.__name__: make for make in draw_networks.PICTURES}


@pytest.fixture(autouse=True)
def one_thread():
    """Small steps on several threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def page(network: str) -> str:
    return (ROOT / "docs" / "networks" / f"{network}.md").read_text(encoding="utf-8")


def section(network: str, heading: str) -> str:
    return page(network).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def python_blocks(network: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page(network), re.DOTALL)


def original_model() -> SimpleNamespace:
    """Stands for the model of TensorFlow that the two-stage U-Net's page speaks of."""
    names = ["stage/conv2d/kernel:0", "stage/conv2d/bias:0"]
    weights = [SimpleNamespace(name=name, numpy=lambda: np.zeros(1)) for name in names]
    return SimpleNamespace(weights=weights)


def test_every_network_has_a_page_and_a_picture():
    linked = re.findall(r"\(networks/(\w+)\.md\)", (ROOT / "docs" / "networks.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(MODELS) == sorted(PICTURES)
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for network in MODELS:
        assert f"networks/{network}.md" in nav
        assert f"../images/networks/{network}.svg" in page(network)


@pytest.mark.parametrize("network", MODELS)
def test_the_code_of_a_page_runs(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"numpy": np, "model": original_model()}
    assert python_blocks(network)
    for block in python_blocks(network):
        exec(compile(block, f"{network}.md", "exec"), names)


@pytest.mark.parametrize("network", MODELS)
def test_equations_are_paired_with_names_that_the_code_has(network):
    kind, config = MODELS[network]
    source = Path(sys.modules[kind.__module__].__file__).read_text(encoding="utf-8")
    if network == "timbre":
        source += Path(discriminators.__file__).read_text(encoding="utf-8")
    rows = [row.strip("|").split(" | ") for row in section(network, "Equations to code").splitlines() if "|" in row]
    assert len(rows) > 6
    for row in rows[2:]:
        for name in re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", row[1]))):
            assert re.search(rf"\b{name}\b", source), name
        for setting in re.findall(r"`(\w+)", row[2]):
            known = setting in config.model_fields or isinstance(getattr(config, setting, None), property)
            assert known or setting in ("n_scales", "periods"), setting


@pytest.mark.slow
def test_the_tables_of_facts_are_those_of_the_code():
    parts = ["parameters", *(f"facts-{network}" for network in MODELS)]
    command = [sys.executable, ROOT / "benchmarks" / "update_docs.py", *parts, "--check"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, f"run 'python benchmarks/update_docs.py {' '.join(parts)}': {checked.stderr}"


@pytest.mark.parametrize("network", PICTURES)
def test_a_picture_is_clean_and_drawn_as_it_is_described(network):
    picture = PICTURES[network]()
    assert faults(picture) == []
    drawn = (draw_networks.FOLDER / f"{network}.svg").read_text(encoding="utf-8")
    assert picture.digest in drawn, "run 'python scripts/draw_networks.py'"


@pytest.mark.parametrize("network", PICTURES)
def test_the_shapes_in_a_picture_are_those_of_the_network(network):
    built = build_without_values(network, draw_networks.config_of(network).model_dump()).eval()
    seen = {}

    def keep(name):
        def hook(module, given, out):
            seen.setdefault(name, out[0] if isinstance(out, tuple) else out)

        return hook

    boxes = [box for box in PICTURES[network]().of(Box) if box.module]
    for box in boxes:
        built.get_submodule(box.module).register_forward_hook(keep(box.module))
    n_samples = SECONDS * built.sample_rate
    with RecurrentLayersAtOnce(), torch.device("meta"):
        built.process(torch.zeros(1, built.config.n_channels, n_samples))
    assert len(boxes) >= 2
    for box in boxes:
        shape = list(seen[box.module].shape)
        n_channels, *more = box.size
        assert n_channels in shape, box.key
        shape.remove(n_channels)
        if "@" in box.shape:  # places a second; the ends may be filled up
            n_frames = SECONDS * more[0]
            assert any(abs(size - n_frames) <= 0.03 * n_frames + 2 for size in shape), (box.key, shape)
        elif more:  # frequencies of each frame
            assert more[0] in shape, box.key


def test_a_drawing_with_faults_is_told():
    parts = [
        Box("a", 60, 40, "a title much too long for its box", w=60),
        Box("b", 160, 40, "b"),
        Box("c", 200, 44, "c"),
        Dot("d", 300, 40, "+"),
        Line("a.r", "d.l", via=((100, 40), (290, 44))),
        Panel(8, 8, 40, 90, "a heading"),
        Label(300, 40, "on it", "center"),
    ]
    told = " ".join(faults(Picture("x", "x", 400, 100, tuple(parts))))
    for fault in ("wide in a box", "b and c overlap", "is oblique", "goes through b", "does not fit", "is on d"):
        assert fault in told


def test_a_drawing_needs_no_font():
    svg = draw(Picture("x", "One box", 200, 100, (Box("a", 100, 50, "box"),)))
    assert "<text" not in svg and "font-family" not in svg
    assert "One box" in svg  # for who cannot see it


@pytest.mark.shared
def test_the_line_for_tensorflow_makes_what_the_importer_reads(tmp_path, monkeypatch):
    folder = PARITY / "two_stage_unet"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    arrays = np.load(folder / "weights.npz")
    weights = [
        SimpleNamespace(name=f"{key.partition(':')[2]}:0", numpy=lambda key=key: arrays[key]) for key in arrays.files
    ]
    monkeypatch.chdir(tmp_path)
    [line] = [block for block in python_blocks("two_stage_unet") if "savez" in block]
    exec(line, {"numpy": np, "model": SimpleNamespace(weights=weights)})
    config = json.loads((folder / "about.json").read_text())["config"]
    network, _ = import_weights(tmp_path / "unet.npz", "two-stage-unet", [f"depth={config['depth']}", "num_tfc=1"])
    theirs, x = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("output_waveform", "input_waveform"))
    with torch.no_grad():
        assert (network(x.unsqueeze(1))[:, 0] - theirs).norm() < 1e-4 * theirs.norm()

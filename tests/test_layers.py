"""Imports point down only: design.md's table of layers, held."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "resound"

# Each part and the parts it may import besides its own files.
LAYERS = {
    "errors": set(),
    "shipped": {"errors"},
    "interruption": set(),
    "cores": set(),
    "config": {"errors"},
    "dsp": {"errors"},
    "audio": {"errors", "interruption", "dsp"},
    "classic": {"errors", "dsp"},
    "metrics": {"errors", "dsp"},
    "corpora": {"errors", "cores", "config", "dsp", "audio"},
    "degrade": {"errors", "config", "dsp", "audio", "corpora"},
    "inference": {
        "errors", "shipped", "interruption", "cores", "config", "dsp", "audio", "classic", "metrics", "checkpoint",
    },  # the last late: see below
    "mixing": {"errors", "shipped", "config", "dsp", "audio", "corpora", "degrade", "classic", "metrics", "inference"},
    "judging": {"errors", "config", "dsp", "audio", "classic", "metrics", "mixing", "inference"},
    "harvest": {"errors", "config", "dsp", "audio", "corpora", "degrade", "classic", "inference"},
    "cli": {
        "errors", "shipped", "interruption", "cores", "config", "dsp", "audio", "classic", "metrics", "corpora",
        "degrade", "inference", "mixing", "harvest", "models", "checkpoint", "training", "doctor", "evaluation",
        "export",
    },
    "doctor": {
        "errors", "config", "dsp", "audio", "classic", "metrics", "corpora", "degrade", "harvest", "mixing", "judging",
        "inference", "training", "models", "losses", "checkpoint",
    },  # the last four late: see below
    "evaluation": {
        "errors", "shipped", "config", "dsp", "audio", "metrics", "corpora", "degrade", "mixing", "judging",
        "inference", "doctor", "training", "checkpoint", "models",
    },  # the last three late: see below
    "models": {"errors", "config", "dsp"},
    "losses": {"errors", "config", "dsp", "models"},
    "checkpoint": {"errors", "shipped", "cores", "config", "models"},
    "training": {
        "errors", "shipped", "interruption", "config", "dsp", "audio", "classic", "corpora", "mixing", "models",
        "losses", "judging", "checkpoint", "inference", "harvest", "metrics", "doctor",
    },
    "export": {"errors", "config", "dsp", "audio", "metrics", "models", "checkpoint", "inference"},
    "__init__": {"inference", "checkpoint", "evaluation"},
}  # fmt: skip
LEARNING_PARTS = {"checkpoint", "export", "losses", "models", "training"}  # what may import the learning side
LEARNING_SIDE = {"torch", "lightning", "safetensors", "torchaudio", "torchvision"}
MODULES = sorted(SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    own = part_of(path)
    assert own in LAYERS, f"{own}: a new part; say in LAYERS what it may import"
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith("resound.")}
    upward = {part for part in parts if part in LAYERS} - LAYERS[own] - {own}
    assert not upward


SIGNAL_MODULES = [path for path in MODULES if part_of(path) not in LEARNING_PARTS]


@pytest.mark.parametrize("path", SIGNAL_MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_signal_side_never_imports_the_learning_side(path):
    assert not {name.split(".")[0] for name in imported_modules(path)} & LEARNING_SIDE


@pytest.mark.parametrize("path", SIGNAL_MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_signal_side_reaches_networks_late_if_at_all(path):
    """Inside functions alone: restoring by the classic chain or by ONNX needs no torch."""
    at_once = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    assert not {str(node.module).split(".")[1] for node in at_once if "." in str(node.module)} & LEARNING_PARTS


@pytest.mark.parametrize("statement", ["import resound", "import resound.cli.main"])
def test_starting_loads_nothing_heavy(statement):
    program = f"{statement}; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "scipy", "scipy.signal", "av", "onnxruntime", "numpy", "pydantic", "matplotlib", "rich"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_parts_of_scipy_load_when_they_are_first_used(path):
    """``import scipy`` gives all of them as attributes; ``import scipy.signal`` loads 0.4 s of it for every command."""
    at_once = ast.parse(path.read_text(encoding="utf-8")).body
    names = {alias.name for node in at_once if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in at_once if isinstance(node, ast.ImportFrom)}
    assert not {name for name in names if name.startswith("scipy.")}

"""Networks on disk: a folder with ``weights.safetensors`` and ``model.json``; loading one runs no code of a stranger.

``model.json`` has the network's name and config, its sample rate, version, metrics, licence and source, and the SHA-256
of the weights, so that a damaged or exchanged file is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from resound.cores import n_cores
from resound.errors import ModelError, OutputError, ResoundError, did_you_mean, one_line
from resound.models import MODELS, build
from resound.models.network import Network
from resound.models.presets import load_preset, preset_names
from resound.shipped import explicit, folder_of, is_shipped

VERSION = 1
WEIGHTS, ABOUT = "weights.safetensors", "model.json"
INDEX = "checkpoints.json"  # of a training's run: which of its folders are checkpoints


def save_model(folder: Path, network: Network, *, overwrite: bool = False, **about: Any) -> None:
    """Write a network as a folder, which appears whole or not at all.

    ``about`` is plain JSON: metrics, licence, source.  Raises `OutputError`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    check_free(folder, overwrite=overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); choose another place") from None
    try:
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, temporary / WEIGHTS)
        told = {
            "resound_model": VERSION,
            "name": name_of(network),
            "config": network.config.model_dump(mode="json"),
            "sample_rate": network.sample_rate,
            "sha256": _sha256(temporary / WEIGHTS),
            **about,
        }
        (temporary / ABOUT).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (temporary / WEIGHTS).chmod((temporary / ABOUT).stat().st_mode)  # safetensors lets nobody else read them
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); free some space") from None
    except SafetensorError as error:  # which is what a full disk is to it
        raise OutputError(f"{folder}: cannot be written ({error}); free some space") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` if something has that name already, unless it is a model that may be replaced."""
    if not folder.exists():
        return
    if not overwrite:
        raise OutputError(f"{folder}: exists already; give another name, or --overwrite")
    if not (folder / ABOUT).is_file():
        raise OutputError(f"{folder}: is no model, so it is not replaced; give another name")


def load(model: str | os.PathLike[str]) -> Network:
    """Return a network with its weights: of a model's folder, the best of a training's run, or one that ships.

    Raises `ModelError`.

    >>> network = load("models/dns48")                                                    # doctest: +SKIP
    >>> network(waveform).shape                  # (batch, channel, time) -> (batch, source, time)  # doctest: +SKIP
    """
    return load_model(found_model(model))


def found_model(model: str | os.PathLike[str]) -> Path:
    """Return the folder that a caller named.  Raises `ModelError` for what is none, with what to do instead."""
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"{one_line(model)}: is no model; give the path of a model's folder, or a preset's name")
    path, name = explicit(model), os.fspath(model)
    if not name:
        raise ModelError("the model's name is empty; give the path of a model's folder, or a preset's name")
    if is_shipped(name):
        return folder_of(name)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(
            f"{one_line(name)}: is a file, not a model's folder; run 'resound import {one_line(name)} --from ORIGIN -o "
            "MODEL' first"
        )
    if name in preset_names():
        network = load_preset(name).network
        raise ModelError(
            f"{name}: comes without weights so far; train it, or import published ones with 'resound import'; a fresh "
            f"network is resound.models.build({network!r}, ...)"
        )
    names = dict.fromkeys([*preset_names(), *MODELS])
    raise ModelError(f"{one_line(name)}: no such model{did_you_mean(name, names)}; give a model's folder, or a preset")


def load_model(folder: str | os.PathLike[str]) -> Network:
    """Return the network in a folder, or the best one of a run's, ready to use.  Raises `ModelError`."""
    folder = model_folder(Path(folder))
    told = read_about(folder)
    try:
        network = build(told["name"], **told["config"])
    except ResoundError as error:
        raise ModelError(f"{folder / ABOUT}: {error}") from None
    load_weights(network, _read_weights(folder, told), where=str(folder))
    return network.eval()


def model_folder(folder: Path) -> Path:
    """Return the model's folder that a folder stands for: itself, or the best checkpoint of a training's run.

    Before the first validation that is the last checkpoint.  Raises `ModelError` where a run has none.
    """
    path = folder / INDEX
    if (folder / ABOUT).exists() or not folder.is_dir():
        return folder
    if not path.exists():
        if (folder / "run.json").exists():
            raise ModelError(f"{folder}: is a run without a checkpoint so far; go on with it by --resume")
        return folder
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        names = [listed.get("average"), *(best["folder"] for best in listed["best"]), listed["last"]]
        return folder / next(name for name in names if name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        raise ModelError(f"{path}: cannot be read; give one of the checkpoints' folders") from None


def run_network(network: Network, waveform: NDArray) -> NDArray:
    """Return ``(batch, source, time)`` for ``(batch, channel, time)``, float32 both: for who has no torch at hand."""
    with torch.inference_mode():
        return network(torch.from_numpy(waveform)).numpy()


def stepper(network: Network) -> Callable[[NDArray], NDArray]:
    """Return a function that gives a stream's next frame ``(batch, source, time)``, and keeps its state."""
    causal: Any = network  # and has a state and steps
    state = causal.init_state(1)

    def step(frame: NDArray) -> NDArray:
        nonlocal state
        with torch.inference_mode():
            sound, state = causal.step(torch.from_numpy(frame), state)
        return sound.numpy()

    return step


def use_all_cores(shared_by: int = 1) -> None:
    """Let torch work on all cores that there are for it, or on a share of them beside processes that do the same."""
    torch.set_num_threads(max(1, n_cores() // shared_by))


def read_about(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` says.  Raises `ModelError`."""
    path = folder / ABOUT
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        names = ", ".join(sorted(item.name for item in folder.iterdir())[:5]) if folder.is_dir() else "no such folder"
        raise ModelError(
            f"{folder}: no {ABOUT} that can be read ({names or 'empty'}); give a folder that 'resound train' or "
            "'resound import' made"
        ) from None
    if not isinstance(told, dict) or "resound_model" not in told:
        raise ModelError(f"{path}: does not describe a model; give a folder that 'resound train' or 'import' made")
    if told["resound_model"] != VERSION:
        version = one_line(told["resound_model"])
        raise ModelError(f"{path}: is of version {version}, this resound reads {VERSION}; update resound")
    if not isinstance(told.get("name"), str) or not isinstance(told.get("config"), dict):
        raise ModelError(f"{path}: has no name and config of a network; get another copy")
    return told


def load_weights(network: Network, weights: dict[str, Tensor], *, where: str) -> None:
    """Put weights into a network.  Raises `ModelError` that names the first parameter which does not fit."""
    own = network.state_dict()
    for key, value in own.items():
        if key not in weights:
            raise ModelError(
                f"{where}: holds no {key!r}; it belongs to another network or config than {name_of(network)}"
            )
        if weights[key].shape != value.shape:
            there, here = tuple(weights[key].shape), tuple(value.shape)
            raise ModelError(
                f"{where}: {key!r} is {there}, the config makes it {here}; give the config it was made with"
            )
    surplus = [key for key in weights if key not in own]
    if surplus:
        raise ModelError(f"{where}: holds {surplus[0]!r}, which {name_of(network)} with this config does not have")
    network.load_state_dict(weights)


def name_of(network: Network) -> str:
    """Return the name of a network in `MODELS`."""
    return next(name for name, (kind, _) in MODELS.items() if kind is type(network))


def _read_weights(folder: Path, told: dict[str, Any]) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        if told.get("sha256") not in (None, _sha256(path)):
            raise ModelError(f"{path}: is not the file that {ABOUT} describes (SHA-256 differs); get another copy")
        return load_file(path)
    except FileNotFoundError:
        raise ModelError(f"{folder}: no {WEIGHTS}; get another copy") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); get another copy") from None


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

"""Which checkpoints of a run are on disk: the best few, the last one to go on from, and nothing else.

::

    checkpoints.json        what there is: the last one, the best ones with what they are worth; written last
    checkpoints/
      step-000500/          a model's folder (`resound.checkpoint`), with its metrics
      last-000750/          the same, and state.pt: optimiser, schedule, steps done

A checkpoint gets its name when it is whole and has been read back; `checkpoints.json` is replaced in one move.  So a
run that is killed at any moment has its last checkpoint, and every one that is listed can be loaded.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resound.audio.atomic import atomic_file, flush, write_failure
from resound.checkpoint import INDEX, WEIGHTS, load_weights, save_model
from resound.errors import OutputError, TrainingError
from resound.judging.measures import ALL
from resound.models.network import Network, n_parameters

FOLDER, STATE, AVERAGE = "checkpoints", "state.pt", "average"
BYTES_PER_PARAMETER = 4
ANEW = "restore it from a copy, or begin a new run with the weights of this one: initial={}"


@dataclass(frozen=True)
class Kept:
    """A checkpoint that is among the best."""

    step: int
    value: float  # of the metric that chooses
    folder: str  # below the run's

    @property
    def is_number(self) -> bool:
        """Whether the metric could be computed."""
        return self.value == self.value


@dataclass
class Keeper:
    """Writes and removes the checkpoints of one run."""

    run: Path
    metric: str
    n_best: int
    is_writer: bool = True  # of several processes one is; all know what is kept
    best: list[Kept] = field(default_factory=list)  # the best first
    last: str | None = None  # its folder
    average: str | None = None  # the folder of the mean of the best, where it beats each of them

    @classmethod
    def of(cls, run: Path, metric: str, n_best: int, *, is_writer: bool = True) -> Keeper:
        """Return the keeper of a run folder, which may have checkpoints.  Raises `TrainingError`."""
        keeper = cls(run, metric, n_best, is_writer)
        path = run / INDEX
        if path.exists():
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                keeper.best = [Kept(**each) for each in told["best"]]
                keeper.last, keeper.average = told["last"], told.get("average")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise TrainingError(
                    f"{path}: cannot be read ({error}); restore it from a copy, or begin again"
                ) from None
        return keeper

    def gain(self, value: float) -> float:
        """Return by how much a value beats the best so far: infinite for the first, minus infinity for no number."""
        if value != value:
            return float("-inf")
        if not self.best:
            return float("inf")
        return ALL[self.metric].badness(self.best[0].value) - ALL[self.metric].badness(value)

    def keep(
        self,
        network: Network,
        step: int,
        state: dict[str, Any],
        about: dict[str, Any],
        metrics: dict[str, float] | None = None,
    ) -> None:
        """Write a network with all that is needed to go on from it, and once more if it is among the best.

        ``metrics`` are those of a validation.  What is listed changes in one move: a run that was killed before goes on
        as if this had not been tried.
        """
        name = f"{FOLDER}/step-{step:06}"
        best = self.best
        if metrics is not None:
            kept = Kept(step, metrics.get(self.metric, float("nan")), name)
            best = sorted([*self.best, kept], key=self._worth, reverse=True)[: self.n_best]
        last = f"{FOLDER}/last-{step:06}"
        if self.is_writer:
            if any(kept.folder == name for kept in best) and best != self.best:
                self._write(self.run / name, network, step, metrics or {}, about)
            if last != self.last:
                self._write(self.run / last, network, step, {}, about, state)
        self.best, self.last = best, last
        if metrics is not None:
            self.average = None  # that of fewer steps
        if self.is_writer:
            self._write_index()

    def keep_average(self, network: Network, metrics: dict[str, float], about: dict[str, Any]) -> None:
        """Write the mean of the best checkpoints, which beats each of them."""
        self.average = AVERAGE
        if self.is_writer:
            save_model(self.run / AVERAGE, network, overwrite=True, metrics=metrics, **about)
            self._write_index()

    @property
    def last_step(self) -> int | None:
        """The step of the last checkpoint; None where there is none."""
        return None if self.last is None else int(self.last.rpartition("-")[2])

    def drop(self, *, best: bool) -> None:
        """Remove the last checkpoint of a run that will not go on, and its best ones too if so asked."""
        self.last = None
        if best:
            self.best = []
        self._write_index()

    def state(self) -> dict[str, Any]:
        """Return the state to go on from.  Raises `TrainingError`."""
        if self.last is None:
            raise TrainingError(f"{self.run}: has no checkpoint to go on from; begin it again without --resume")
        return read_state(self.run / self.last / STATE)

    def needed_bytes(self, network: Network, beside: nn.Module | None = None) -> int:
        """Return what the checkpoints will take on disk at most, one more being written included.

        ``beside`` is what is trained beside the network.
        """
        weights = BYTES_PER_PARAMETER * n_parameters(network)
        weights_beside = BYTES_PER_PARAMETER * n_parameters(beside) if beside is not None else 0
        last = 5 * weights + 3 * weights_beside  # weights, network, two moments, a running mean; weights, two moments
        return (self.n_best + 1) * weights + 2 * last

    def kept_bytes(self, network: Network) -> int:
        """Return what the best checkpoints take."""
        return self.n_best * BYTES_PER_PARAMETER * n_parameters(network)

    def check_space(self, network: Network, beside: nn.Module | None = None) -> None:
        """Raise `OutputError` if the disk has no room for the checkpoints."""
        there = next(path for path in (self.run, *self.run.absolute().parents) if path.exists())
        needed, free = self.needed_bytes(network, beside), shutil.disk_usage(there).free
        if needed > free:
            raise OutputError(
                f"{self.run}: checkpoints take up to {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; free some "
                "space, choose another folder with -o, or lower checkpoints.keep"
            )

    def _worth(self, kept: Kept) -> float:
        return -ALL[self.metric].badness(kept.value) if kept.is_number else float("-inf")

    def _write(
        self,
        folder: Path,
        network: Network,
        step: int,
        metrics: dict[str, float],
        about: dict[str, Any],
        state: dict[str, Any] | None = None,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left, and did not list
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            save_model(partial, network, **about, step=step, metrics={k: v for k, v in metrics.items() if v == v})
            check_weights(partial, network)
            flush(partial / WEIGHTS)
            if state is not None:
                write_state(partial / STATE, state)
            os.replace(partial, folder)
        except OSError as error:
            raise write_failure(folder, error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _write_index(self) -> None:
        told = {"metric": self.metric, "last": self.last, "best": [asdict(kept) for kept in self.best]}
        told["average"] = self.average
        path = self.run / INDEX
        with atomic_file(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        listed = {self.last, *(kept.folder for kept in self.best)}
        for folder in (self.run / FOLDER).iterdir():
            if f"{FOLDER}/{folder.name}" not in listed:
                shutil.rmtree(folder, ignore_errors=True)
        if self.average is None:
            shutil.rmtree(self.run / AVERAGE, ignore_errors=True)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested plain values and tensors, and read them back.  Raises `OutputError`."""
    try:
        torch.save(state, path)
        with open(path, "rb+") as handle:
            os.fsync(handle.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
        raise OutputError(f"{path}: cannot be written ({one_line_of(error)}); free some space") from None
    if not is_same(read_state(path), state):
        raise OutputError(f"{path}: reads back as something else than was written; check the disk")


def read_state(path: Path) -> dict[str, Any]:
    """Return what `write_state` wrote; no code in it is run.  Raises `TrainingError`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"{path}: is not there; {ANEW.format(path.parents[2])}") from None
    except Exception:  # of a damaged file torch raises whatever its parts do
        raise TrainingError(f"{path}: is damaged; {ANEW.format(path.parents[2])}") from None


def check_weights(folder: Path, network: Network) -> None:
    """Raise `OutputError` unless the weights in a folder are those of a network, to the bit."""
    from safetensors.torch import load_file

    written, own = load_file(folder / WEIGHTS), network.state_dict()
    if written.keys() != own.keys() or not all(torch.equal(written[key], own[key].cpu()) for key in own):
        raise OutputError(f"{folder / WEIGHTS}: reads back as something else than was written; check the disk")


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two nests of plain values and tensors are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one.cpu(), other.cpu())
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other) or (one != one and other != other)


def one_line_of(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def average_of(folders: list[Path], network: Network) -> None:
    """Put the mean of the weights in some checkpoints into a network."""
    from safetensors.torch import load_file

    loaded = [load_file(folder / WEIGHTS) for folder in folders]
    mean = {
        key: torch.stack([weights[key].double() for weights in loaded]).mean(dim=0).to(value.dtype)
        for key, value in loaded[0].items()
    }
    load_weights(network, mean, where="the mean of the best checkpoints")

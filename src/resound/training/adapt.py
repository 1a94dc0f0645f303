"""A model fitted to certain recordings: fine-tuned on what resembles them, and kept only where that is shown to help.

Three parts of the material never meet: one is learnt from, one chooses the checkpoint, and one, which neither has seen,
decides.  There the network before and the network after work on the same examples; what both find hard does not blur
the difference.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from resound.audio.atomic import atomic_file, check_can_write_in
from resound.checkpoint import found_model, load_model, model_folder, read_about, save_model
from resound.config import set_dotted, validated
from resound.errors import ConfigError, OutputError, TrainingError
from resound.judging.summary import Statistics, Summary, paired_difference
from resound.mixing.cache import open_cache
from resound.models.network import Network
from resound.shipped import named
from resound.training.adapt_output import Heard, faults_of, hear
from resound.training.config import RunConfig, ValidationConfig, merged
from resound.training.fit import Check, train
from resound.training.judge import Judge, jobs_for
from resound.training.material.material import SEGMENT_SECONDS, Material
from resound.training.memory import device_of
from resound.training.session import Outcome, Shown

RUN, MODEL, REPORT = "run", "model", "adapt.json"
N_CHOOSING, N_DECIDING = 40, 60  # examples, where they are drawn anew
N_VALIDATIONS = 8  # in the time there is
SHARE_OF_TIME = 0.8  # for steps; the rest is for validations
FEWEST_STEPS = 40
PAIR_CODES = ["DATA01", "DATA02", "DATA08", "DATA19"]  # what makes pairs useless
BATCH_SIZE = 4
SIZES, HOPS = [512, 1024], [128, 256]  # of the spectra that are compared


@dataclass(frozen=True)
class Adapted:
    """What came of it."""

    is_kept: bool
    reasons: list[str]  # why, in words
    gain: Statistics  # of the metric that decides, after over before, on examples that neither had seen
    metric: str
    before: Summary
    after: Summary
    heard: list[Heard]  # the user's own recordings, before and after
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "kept": self.is_kept,
            "reasons": self.reasons,
            "metric": self.metric,
            "gain": {"mean": self.gain.mean, "low": self.gain.low, "high": self.gain.high, "n": self.gain.n},
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "recordings": [heard.to_json() for heard in self.heard],
            "steps": self.outcome.n_steps,
            "minutes": round(self.outcome.minutes, 2),
        }


def check_model(folder: Path) -> Network:
    """Return the network to begin with.  Raises `ModelError` for no model, `ConfigError` for one of another task."""
    found = model_folder(found_model(folder))
    network, kind = load_model(found), read_about(found)["name"]
    if network.n_sources != network.config.n_channels or kind == "timbre":
        raise ConfigError(
            f"{folder}: {kind} with {network.n_sources} sources for {network.config.n_channels} channels does not "
            "denoise by itself; give a model that 'resound restore --model' takes"
        )
    return network


def run_config(start: Path, material: Material, *, minutes: float, settings: Sequence[str] = ()) -> RunConfig:
    """Return the training: the network of a model's folder on material, for about so many minutes.

    Raises `ConfigError`.
    """
    about = read_about(model_folder(start))
    network = load_model(start)
    n_samples = round(SEGMENT_SECONDS * network.sample_rate)
    seconds = seconds_a_step(network, BATCH_SIZE, n_samples)
    steps = max(FEWEST_STEPS, round(SHARE_OF_TIME * 60 * minutes / seconds))
    values: dict[str, Any] = {
        "about": material.about,
        "task": "enhance",
        "network": about["name"],
        "config": about["config"],
        **({"after": about["after"]} if "after" in about else {}),
        "initial": named(start.absolute()),
        "data": material.data,
        "validation": {"n_examples": min(N_CHOOSING, material.n_choosing or N_CHOOSING), "data": material.choosing},
        "loss": loss_for(about["name"], material),
        "optimiser": {"lr": material.lr, "clip_norm": 5},
        "schedule": {"kind": "cosine", "warmup_steps": min(20, steps // 10)},
        "training": {
            "steps": steps,
            "batch_size": BATCH_SIZE,
            "validate_every": max(1, steps // N_VALIDATIONS),
            "max_minutes": minutes,
        },
        "checkpoints": {"metric": material.metric, "keep": 1, "stop_after": None},
        "ema": 0.99,
        "listen": [str(path) for path in material.recordings],
        # That there is little is known, and that what is made noisier is noisy.
        "doctor": {"select": PAIR_CODES},
    }
    for word in settings:
        set_dotted(values, word)
    return validated(RunConfig, values, "adapt")


def loss_for(name: str, material: Material) -> Any:
    """Return what is trained on.

    A target that is itself noisy allows nothing but the squared error, the mean of which is right where the noise of
    the target has none.
    """
    if material.is_noisy:
        return [{"kind": "mse"}]
    if name == "two_stage_unet":
        return "two_stage"
    # The ratio in dB counts alike for quiet and loud recordings, which the L1 of samples does not beside log spectra.
    return [
        {"kind": "si_sdr_with_level", "weight": 0.1, "level_weight": 0.2},
        {"kind": "multi_stft", "weight": 0.3, "fft_sizes": SIZES, "hops": HOPS, "windows": SIZES},
    ]


def seconds_a_step(network: Network, batch_size: int, n_samples: int) -> float:
    """Return how long forward and backward take for a batch where this machine trains."""
    device = device_of("auto")
    network = network.train().to(device)
    waveform = torch.randn(batch_size, network.config.n_channels, n_samples, device=device)
    for _ in range(2):  # the first is slower
        began = time.monotonic()
        network(waveform).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.monotonic() - began
    network.zero_grad()
    network.cpu().eval()
    return seconds


def adapt(
    start: Path,
    material: Material,
    config: RunConfig,
    folder: Path,
    shown: Shown,
    *,
    checks: Sequence[Check] = (),
    force: Sequence[str] = (),
    command: Sequence[str] = (),
) -> Adapted:
    """Fine-tune a model on material in a folder, and keep it as ``folder/model`` if it is better.

    Raises `ConfigError`, `InputError`, `OutputError` and `TrainingError`.
    """
    outcome = train(config, folder / RUN, shown, checks=checks, force=force, command=command)
    if outcome.is_interrupted or not outcome.validations:
        raise TrainingError(
            f"{folder}: ended after {outcome.n_steps} steps ({outcome.reason}), before anything could be compared; "
            "begin again with more --minutes"
        )
    adapted = decide(config, material, start, folder / RUN, outcome)
    if adapted.is_kept:
        keep(folder, adapted, material)
    write_report(folder / REPORT, adapted)
    return adapted


def decide(config: RunConfig, material: Material, before: Path, after: Path, outcome: Outcome) -> Adapted:
    """Judge the models of two folders on what neither has seen, and on the user's own recordings."""
    n_examples = min(N_DECIDING, material.n_deciding or N_DECIDING)
    asked = config.model_copy(
        update={
            "validation": ValidationConfig(n_examples=n_examples, data=merged(material.choosing, material.deciding))
        }
    )
    judge = Judge(asked, open_cache(asked.validation_mixing, n_examples, n_jobs=jobs_for(n_examples)))
    device = torch.device("cpu")
    networks = load_model(before), load_model(after)
    summaries = judge(networks[0], device), judge(networks[1], device)
    name = "snr" if material.is_noisy else "si_sdr"
    gain = paired_difference(summaries[1], summaries[0], name)
    heard = [hear(path, before, after, networks[0]) for path in material.recordings]
    is_kept, reasons = verdict(gain, name, heard)
    return Adapted(is_kept, reasons, gain, name, *summaries, heard, outcome)


def verdict(gain: Statistics, name: str, heard: Sequence[Heard]) -> tuple[bool, list[str]]:
    """Return whether the new network is kept, and why."""
    told = f"{gain.mean:+.2f} dB {'SNR' if name == 'snr' else 'SI-SDR'} (95 % {gain.low:+.2f} to {gain.high:+.2f}) on "
    told += f"{gain.n} examples that neither network had seen"
    faults = [fault for each in heard for fault in faults_of(each)]
    if not gain.low > 0:
        return False, [f"no better than before: {told}", *faults]
    return not faults, [f"better than before: {told}", *faults]


def keep(folder: Path, adapted: Adapted, material: Material) -> None:
    """Write the model that the training chose, with its figures."""
    metrics = {key: value.mean for key, value in adapted.after.overall.items()}
    stages = read_about(model_folder(folder / RUN)).get("after")
    save_model(
        folder / MODEL,
        load_model(folder / RUN),
        metrics=metrics,
        title=material.about,
        source="resound adapt",
        licence="as its training data allow",
        **({"after": stages} if stages else {}),
    )


def write_report(path: Path, adapted: Adapted) -> None:
    """Write what came of it as JSON."""
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(adapted.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """Remove what was made in a new folder if no training begins.  Raises `OutputError` for a folder that is there."""
    if folder.exists():
        raise OutputError(f"{folder}: exists already; give another with -o")
    check_can_write_in(folder)
    made = [path for path in folder.parents if not path.exists()]
    try:
        yield
    except BaseException:
        if not (folder / RUN).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another one works beside it
                for path in made:
                    path.rmdir()
        raise

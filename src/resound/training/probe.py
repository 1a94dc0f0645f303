"""The probes: a network tried on a few examples before a training of hours.

A copy learns four examples by heart for a minute at most; what is measured on the way goes to doctor's checks.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from resound.doctor.plan_evidence import PlanEvidence
from resound.doctor.probe_evidence import ProbeEvidence
from resound.errors import counted
from resound.losses import permutation_invariant, si_sdr, two_stage
from resound.mixing.stream import open_examples
from resound.models.network import Network
from resound.models.two_stage_unet import TwoStageUNet
from resound.training.config import RunConfig
from resound.training.dataset import ExampleDataset
from resound.training.fit import initial_network
from resound.training.memory import device_of, one_step
from resound.training.tasks import Batch, OfWaveforms, Separate, Task, task_of

N_PROBED = 4  # examples
MOST_STEPS = 100
MOST_SECONDS = 45.0  # for those steps
LONGEST_SECONDS = 2.0  # of an example
LEVELS_DBFS = (0, -10, -20, -30, -40, -50)  # peak
SILENT_DBFS = -200.0


def probe_evidence(config: RunConfig) -> ProbeEvidence:
    """Return what the checks of probes look at.  Raises `ConfigError`, `InputError`."""
    task = task_of(initial_network(config), config).to(device_of(config.training.device))
    batch, example_seconds = few_examples(config, task.device)
    losses = losses_of_answers(task, batch)
    without, not_finite = gradients_of(task, batch)
    gain_db, n_steps, step_seconds = learn_by_heart(task, batch)
    network = task.network.eval()
    return ProbeEvidence(
        task=config.task,
        losses=losses,
        gain_db=gain_db,
        n_steps=n_steps,
        n_probed=N_PROBED,
        without_gradient=without,
        not_finite=not_finite,
        n_parameters=sum(parameter.requires_grad for parameter in network.parameters()),
        precision=config.training.precision,
        gains_db=gains_of(network, batch["degraded"][:1]),
        silence_dbfs=_dbfs(_output(network, torch.zeros_like(batch["degraded"][:1]))),
        follows_level=network.follows_level,
        example_seconds=example_seconds,
        step_seconds=step_seconds * _whole_batch(config, batch),
        batch_size=config.training.batch_size,
        workers=config.training.workers,
        repeat_difference=repeat_difference(config, network),
        where=f"{counted(N_PROBED, 'example')} of {config.preset or config.network}",
    )


def with_probes(plan: PlanEvidence, config: RunConfig) -> PlanEvidence:
    """Return the evidence of a plan with what must be tried: causality, and memory where it is counted."""
    network = initial_network(config).to(device_of(config.training.device)).eval()
    measured = measured_step_bytes(config)
    plan = replace(plan, future_db=future_db(network))
    return plan if measured is None else replace(plan, step_bytes=measured, is_measured=True)


def few_examples(config: RunConfig, device: torch.device) -> tuple[Batch, float]:
    """Return a batch of the training examples, cut to two seconds, and the time one took to make."""
    dataset, most = ExampleDataset(config.mixing), round(LONGEST_SECONDS * config.mixing.sample_rate)
    dataset[0, 0]  # opens what stays open
    began = time.perf_counter()
    items = [dataset[0, index % len(dataset)] for index in range(1, N_PROBED + 1)]
    seconds = (time.perf_counter() - began) / N_PROBED
    batch: dict[str, Any] = default_collate(items)
    for side in ("degraded", "clean"):
        batch[side] = batch[side][..., :most].to(device)
    batch["bandwidth_hz"] = batch["bandwidth_hz"].to(device)
    return batch, seconds


def losses_of_answers(task: Task, batch: Batch) -> dict[str, float]:
    """Return the loss of the right answer, of the input as it is, and of silence."""
    clean, degraded = batch["clean"], batch["degraded"]
    noisy = degraded.mean(dim=1, keepdim=True).expand_as(clean) if task.run.task == "separate" else degraded
    answers = {"right": clean, "noisy": noisy[:, : clean.shape[1]], "silence": torch.zeros_like(clean)}
    with torch.no_grad():
        return {name: float(loss_of(task, answer, batch).mean()) for name, answer in answers.items()}


def loss_of(task: Task, estimate: Tensor, batch: Batch) -> Tensor:
    """Return the loss of each example if the network had given an estimate."""
    clean, about = batch["clean"], task.about(batch)
    if isinstance(task.network, TwoStageUNet) and not isinstance(task, OfWaveforms):
        given = task.network.spectrogram(estimate)
        return two_stage((given, given), task.network.spectrogram(clean), **about)
    if isinstance(task, Separate):
        return task.loss_of_answer(estimate, batch)
    assert isinstance(task, OfWaveforms)
    return task.loss.per_example(estimate, clean, **about)


def gradients_of(task: Task, batch: Batch) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of parameters without a gradient, and of those whose gradient is no number."""
    task.zero_grad(set_to_none=True)
    with torch.autocast(task.device.type, torch.bfloat16, enabled=task.run.training.precision == "bf16"):
        loss, _ = task.losses(batch)
    loss.backward()
    learning = [(name, each.grad) for name, each in task.network.named_parameters() if each.requires_grad]
    without = tuple(name for name, grad in learning if grad is None)
    not_finite = tuple(name for name, grad in learning if grad is not None and not bool(torch.isfinite(grad).all()))
    return without, not_finite


def learn_by_heart(task: Task, batch: Batch) -> tuple[float, int, float]:
    """Return the gain in SI-SDR in dB, the steps made and the seconds of one, for a batch seen again and again."""
    before = _si_sdr_db(task, batch)
    optimiser, clip = task.optimiser_of(task.network), task.run.optimiser.clip_norm or math.inf
    taken: list[float] = []
    task.network.train()
    while len(taken) < MOST_STEPS and sum(taken) < MOST_SECONDS:
        began = time.perf_counter()
        loss, _ = task.losses(batch)
        if not bool(torch.isfinite(loss)):
            break
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(task.network.parameters(), clip)
        optimiser.step()
        taken.append(time.perf_counter() - began)
    return _si_sdr_db(task, batch) - before, len(taken), float(np.median(taken)) if taken else 0.0


def gains_of(network: Network, degraded: Tensor) -> dict[int, float]:
    """Return output against input in dB at several levels, ``(1, channel, time)``."""
    unit = degraded / degraded.abs().max().clamp_min(1e-9)
    given = {level: unit * 10 ** (level / 20) for level in LEVELS_DBFS}
    return {level: _dbfs(_output(network, sound)) - _dbfs(sound) for level, sound in given.items()}


def future_db(network: Network) -> float | None:
    """Return how far another future moves the past of a causal network's output, in dB; None: it is not causal."""
    if not network.is_causal:
        return None
    n, generator = network.sample_rate, torch.Generator().manual_seed(0)
    shape = (1, network.config.n_channels, n)
    first, other = (0.1 * torch.randn(shape, generator=generator) for _ in range(2))
    other[..., : n // 2] = first[..., : n // 2]
    device = next(network.parameters()).device
    one, two = (_output(network, sound.to(device)) for sound in (first, other))
    past = n // 2 - network.latency_samples
    moved = float((one - two)[..., :past].abs().max())  # one sample is enough
    return max(SILENT_DBFS, 20 * math.log10(max(moved, 1e-10))) - _dbfs(one[..., :past])


def repeat_difference(config: RunConfig, network: Network) -> float:
    """Return by how much the output for one validation example differs where both are made again, against its RMS."""
    device, outputs = next(network.parameters()).device, []
    for _ in range(2):
        example = open_examples(config.validation_mixing).example(0, 0)
        outputs.append(_output(network, torch.from_numpy(example.degraded)[None].to(device)))
    rms = outputs[0].square().mean().sqrt().clamp_min(1e-9)
    return float((outputs[0] - outputs[1]).square().mean().sqrt() / rms)


def measured_step_bytes(config: RunConfig) -> float | None:
    """Return the most memory that a whole step took on a GPU; None on a processor, where nothing counts it."""
    device = device_of(config.training.device)
    if device.type != "cuda":
        return None
    task = task_of(initial_network(config), config).to(device)
    torch.cuda.reset_peak_memory_stats(device)
    one_step(task, config, config.training.batch_size)
    return float(torch.cuda.max_memory_allocated(device))


def _whole_batch(config: RunConfig, batch: Batch) -> float:
    """Return how much more sound a batch of the training has than the one here."""
    training = config.training
    return training.batch_size * config.mixing.segment_samples / (N_PROBED * batch["clean"].shape[-1])


def _si_sdr_db(task: Task, batch: Batch) -> float:
    network = task.network.eval()
    estimate = _output(network, batch["degraded"])
    if task.run.task == "separate":
        return -float(permutation_invariant(si_sdr, estimate, batch["clean"])[0].mean())
    return -float(si_sdr(estimate, batch["clean"]).mean())


def _output(network: Network, sound: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(sound)


def _dbfs(sound: Tensor) -> float:
    return max(SILENT_DBFS, 10 * math.log10(max(float(sound.double().square().mean()), 1e-20)))

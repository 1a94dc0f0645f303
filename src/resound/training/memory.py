"""How much memory there is, and what to do when it runs out: the batch that would fit, found by trying."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from resound.errors import TrainingError
from resound.models.facts import ADAM_COPIES, BYTES, build_without_values
from resound.models.network import n_parameters
from resound.training.config import RunConfig
from resound.training.tasks import Task

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
# The last is what cuBLAS and cuDNN say.
SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether torch gave up for lack of memory, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error).lower() for sign in SIGNS)


def device_of(wanted: str) -> torch.device:
    """Return where to try or judge a network that is trained on the device of this name: a GPU or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() and wanted in ("auto", "cuda") else "cpu")


def device_bytes(device: str) -> float | None:
    """Return the memory of the device that a training would run on, None where it is not known."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory)
    if device == "mps" or not hasattr(os, "sysconf"):
        return None
    installed = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else "max"
    return min(installed, float(limit)) if limit.isdigit() else installed


def refuse_too_large(config: RunConfig) -> None:
    """Raise `TrainingError` where a network's own values do not fit the device: told before anything is made."""
    n_values = n_parameters(build_without_values(config.network, config.config))
    needed, available = ADAM_COPIES * BYTES * n_values, device_bytes(config.training.device)
    if available is not None and needed > available:
        raise TrainingError(
            f"config: {n_values:,} parameters take {needed / 1e9:.1f} GB with their gradients and moments, and the "
            f"device has {available / 1e9:.1f} GB; give a smaller network"
        )


def device_memory_mb(device: torch.device) -> float | None:
    """Return the most memory that tensors have had on a GPU, in MB; None on a processor."""
    return round(torch.cuda.max_memory_allocated(device) / 2**20, 1) if device.type == "cuda" else None


def advice_for(task: Task, config: RunConfig) -> str:
    """Return what to tell the user: the largest batch that fits, with as many examples a step as before."""
    training = config.training
    in_all = training.batch_size * training.accumulate
    fits = largest_batch(task, config)
    if not fits:
        return (
            f"out of memory at batch_size {training.batch_size}, and one example does not fit either; give shorter "
            "data.segment_seconds, a smaller network, or training.precision=bf16"
        )
    if not task.automatic_optimization:
        return f"out of memory at batch_size {training.batch_size}; training.batch_size={fits} fits"
    return (
        f"out of memory at batch_size {training.batch_size}; training.batch_size={fits} "
        f"training.accumulate={-(-in_all // fits)} fits, with as many examples a step"
    )


def largest_batch(task: Task, config: RunConfig) -> int:
    """Return the largest of batch_size / 2, / 4 ... of which half as much again still fits; 0 where none does."""
    size = config.training.batch_size // 2
    task.network.requires_grad_(True)  # memory may have run out while something beside it learnt
    while size:
        task.zero_grad(set_to_none=True)
        if task.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            one_step(task, config, size + size // 2)  # with room to spare: what fits by a hair fits once
            return size
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        size //= 2
    return 0


def one_step(task: Task, config: RunConfig, size: int) -> None:
    """Make the forward and backward pass of a batch of noise."""
    network, n_samples = task.network, config.mixing.segment_samples
    degraded = 0.1 * torch.randn(size, network.config.n_channels, n_samples, device=task.device)
    batch = {
        "degraded": degraded,
        "clean": 0.1 * torch.randn(size, network.n_sources, n_samples, device=task.device),
        "bandwidth_hz": torch.full((size,), network.sample_rate / 2, device=task.device),
    }
    with torch.autocast(task.device.type, torch.bfloat16, enabled=config.training.precision == "bf16"):
        loss, _ = task.losses(batch)
    optimisers = task.configure_optimizers()
    loss.backward()
    for optimiser in optimisers if isinstance(optimisers, list) else [optimisers]:
        optimiser.step()  # whose moments take room as well; the weights are of no use any more

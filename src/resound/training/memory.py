"""What to do when memory runs out: the batch that would fit, found by trying."""

from __future__ import annotations

import torch

from resound.training.config import RunConfig
from resound.training.tasks import Task

# The last is what cuBLAS and cuDNN say.
SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether torch gave up for lack of memory, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error).lower() for sign in SIGNS)


def device_of(wanted: str) -> torch.device:
    """Return where to try or judge a network that is trained on the device of this name: a GPU or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() and wanted in ("auto", "cuda") else "cpu")


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

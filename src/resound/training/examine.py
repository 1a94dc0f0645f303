"""Doctor before a training: what a plan says of itself, without a sound read or a step made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resound.checkpoint import found_model, model_folder, read_about
from resound.doctor.catalogue import run_checks
from resound.doctor.finding import Finding
from resound.doctor.plan_evidence import NetworkFacts, PlanEvidence
from resound.mixing.config import Common, EnhancementConfig, PairsConfig, SeparationConfig
from resound.mixing.identity import settings_of
from resound.models.conv_tasnet import ConvTasNetConfig
from resound.models.facts import ADAM_COPIES, BYTES, build_without_values, training_bytes
from resound.models.network import Network, NetworkConfig, n_parameters
from resound.models.presets import load_preset
from resound.training.config import RunConfig
from resound.training.keeper import Keeper
from resound.training.memory import device_bytes
from resound.training.schedules import Plateau

PAPERS = {"conv_tasnet": "convtasnet-paper", "two_stage_unet": "film-paper", "wave_u_net": "waveunet"}  # presets
N_FACTORS = 1000
LONGEST_MEASURED_SECONDS = 1.0  # of the segment of which the memory is computed; the rest in proportion
MIXINGS: dict[str, type[Common]] = {"enhance": EnhancementConfig, "separate": SeparationConfig, "pairs": PairsConfig}


def plan_findings(config: RunConfig) -> list[Finding]:
    """Return what is wrong with a plan: what `resound train` asks before its first step."""
    return run_checks("plan", plan_evidence(config), config.doctor)


def plan_evidence(config: RunConfig) -> PlanEvidence:
    """Return what the checks of plans look at.  Raises `ConfigError`, `ModelError`."""
    network, training = build_without_values(config.network, config.config), config.training
    rewards = None if isinstance(config.loss, str) else config.weighted_loss.rewards
    n_examples, is_fixed = _examples(config)
    segment = round(_segment_seconds(config) * network.sample_rate)
    snrs = list(_snrs_in(config.data))
    return PlanEvidence(
        settings=settings_of(config),
        network=network_facts(config, network),
        factors=rate_factors(config),
        level_blind=rewards is not None and rewards.level_blind,
        has_spectral_term=rewards is None or rewards.has_spectral_term,
        segment_samples=segment,
        examples_per_epoch=n_examples,
        is_fixed_set=is_fixed,
        lowest_snr_db=min(snrs, default=None),
        checkpoint_bytes=Keeper(Path(), config.checkpoints.metric, config.checkpoints.keep).needed_bytes(network),
        free_bytes=shutil.disk_usage(Path()).free,
        step_bytes=step_bytes(network, segment, training.batch_size),
        device_bytes=device_bytes(training.device),
        is_measured=False,
        future_db=None,
        where=f"plan of {config.preset or config.network}",
    )


def network_facts(config: RunConfig, network: Network) -> NetworkFacts:
    """Return what a network is."""
    own = network.config
    window, hop = (getattr(own, name, None) for name in ("n_fft", "hop"))
    is_encoder = isinstance(own, ConvTasNetConfig)
    preset = load_preset(config.preset) if config.preset else None
    usual = preset.config if preset and preset.network == config.network else {}
    return NetworkFacts(
        name=config.network,
        sample_rate=network.sample_rate,
        is_causal=network.is_causal,
        context_samples=context_of(network),
        paper_context_ms=_paper_context_ms(config.network),
        window_samples=window,
        hop_samples=hop,
        filter_samples=own.filter_samples if isinstance(own, ConvTasNetConfig) else None,
        stride_samples=own.stride if isinstance(own, ConvTasNetConfig) else None,
        preset_sample_rate=usual.get("sample_rate"),
        preset_window_samples=usual.get("filter_samples" if is_encoder else "n_fft"),
        initial_sample_rate=read_about(model_folder(found_model(config.initial))).get("sample_rate")
        if config.initial
        else None,
    )


def context_of(network: Network) -> int | None:
    """Return how many samples the layers of one output sample reach; None: all, as recurrent ones do.

    A norm over all of a recording reaches all as well, but carries two numbers of it: of Conv-TasNet the convolutions
    are meant.
    """
    own: NetworkConfig = network.config
    if isinstance(own, ConvTasNetConfig):
        n_frames = own.n_repeats * (own.kernel - 1) * (2**own.n_blocks - 1)
        return own.filter_samples + own.stride * n_frames
    return network.receptive_field_samples


def rate_factors(config: RunConfig) -> NDArray[np.float64]:
    """Return the factor on the peak rate at even steps of a run whose validation gains once and never more.

    A curve over the steps hears nothing of that; a plateau does, and where early stopping ends it the factors end.
    """
    most = config.checkpoints.stop_after if isinstance(config.schedule, Plateau) else None
    schedule, training = config.schedule, config.training
    state, factors = schedule.start(), []
    step, n_without_gain, n_heard = 0, 0, 0
    for step in np.linspace(0, training.steps - 1, min(N_FACTORS, training.steps)).astype(int):
        while (n_heard + 1) * training.validate_every <= step:
            state = schedule.hear(state, float("inf") if n_heard == 0 else -1.0)
            n_without_gain = n_without_gain + 1 if n_heard else 0
            n_heard += 1
        if most is not None and n_without_gain >= most:
            break
        factors.append(schedule.at(int(step), training.steps, state))
    return np.array(factors)


def step_bytes(network: Network, n_samples: int, batch_size: int) -> float:
    """Return about what a step on a batch takes: weights, gradients, moments, and all that is kept to go back."""
    measured = min(n_samples, round(LONGEST_MEASURED_SECONDS * network.sample_rate))
    fixed = ADAM_COPIES * BYTES * n_parameters(network)
    each = (training_bytes(network, measured) - fixed) * n_samples / measured
    return fixed + batch_size * each


def _examples(config: RunConfig) -> tuple[int | None, bool]:
    """Return how many examples an epoch has, and whether every epoch has the same."""
    prepared = config.data.get("prepare") or {}
    kind = MIXINGS["pairs" if prepared else config.data.get("task", "enhance")]
    usual = kind.model_fields["n_examples"].default
    is_fixed = kind is PairsConfig or config.training.same_every_epoch
    return prepared.get("n_examples") or config.data.get("n_examples", usual), is_fixed


def _segment_seconds(config: RunConfig) -> float:
    kind = MIXINGS["pairs" if "prepare" in config.data else config.data.get("task", "enhance")]
    return float(config.data.get("segment_seconds") or kind.model_fields["segment_seconds"].default)


def _snrs_in(settings: Any) -> Iterator[float]:
    """Yield the ends of all ranges of SNR that nested settings name."""
    if isinstance(settings, list | tuple):
        for each in settings:
            yield from _snrs_in(each)
    elif isinstance(settings, dict):
        for key, value in settings.items():
            if key == "snr_db":
                ends = value if isinstance(value, list | tuple) else [value]
                yield from (float(each) for each in ends if isinstance(each, int | float))
            else:
                yield from _snrs_in(value)


def _paper_context_ms(name: str) -> float | None:
    if name not in PAPERS:
        return None
    network = build_without_values(name, load_preset(PAPERS[name]).config)
    reach = context_of(network)
    return None if reach is None else 1000 * reach / network.sample_rate

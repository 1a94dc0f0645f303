"""Trainings without a fault: plans as people write them, and runs as their folders tell of them.

``SAID`` are the codes that are said all the same, each for a reason; of all others there is nothing to say.
"""

from __future__ import annotations

import numpy as np

from .runs import adversarial, changed, healthy, rise

# Of each plan a preset, whether in its small form, and what is changed.
PLANS = {
    "8 kHz": ("gatewave", False, ["config.sample_rate=8000"]),
    "48 kHz": ("gatewave", False, ["config.sample_rate=48000"]),
    "a U-Net of waveforms at 44.1 kHz": ("waveunet", False, ["config.sample_rate=44100"]),
    "segments of 10 s": ("gatewave", True, ["data.segment_seconds=10", "training.batch_size=1"]),
    "segments of 1 s": ("demucs48", True, ["data.segment_seconds=1", "training.batch_size=16"]),
    "cosine with a warm-up": ("gatewave", False, ["schedule={kind: cosine, warmup_steps: 1000}"]),
    "cosine in cycles": ("gatewave", False, ["schedule={kind: cosine, cycles: 5, floor: 0.01}"]),
    "plateau": ("gatewave", False, ["schedule={kind: plateau, patience: 10, least_gain: 0.1}"]),
    "halving": ("convtasnet-student", False, ["schedule={kind: halving, patience: 3}"]),
    "steps": ("gatewave", False, ["schedule={kind: steps, at_shares: [0.5, 0.75, 0.9]}"]),
    "constant": ("gatewave", False, ["schedule={kind: constant}"]),
    "accumulation": ("gatewave", False, ["training.batch_size=2", "training.accumulate=16"]),
    "bfloat16 on two devices": ("demucs48", False, ["training.precision=bf16", "training.n_devices=2"]),
    "three voices": ("convtasnet-paper", True, ["config.n_sources=3", "data.n_speakers=3"]),
    "voices at 16 kHz": (
        "convtasnet-paper",
        False,
        ["preset=null", "config.sample_rate=16000", "config.filter_samples=32"],
    ),
    "a grid at 16 kHz": ("tfgridnet-paper", True, ["preset=null", "config.sample_rate=16000", "config.n_fft=512"]),
    "loud noise, a loss of spectra": (
        "gatewave",
        True,
        [
            "data.chain=[{noise: {bank: <noise>, snr_db: [-10, 10]}}]",
            "loss=[{kind: mse}, {kind: compressed_complex}]",
        ],
    ),
    "a time limit instead of early stopping": (
        "gatewave",
        False,
        ["checkpoints.stop_after=null", "training.max_minutes=600", "schedule={kind: cosine}"],
    ),
    "a set that stays the same": ("gatewave", True, ["training.same_every_epoch=true", "data.n_examples=1000"]),
    "a try-out": ("gatewave", True, ["training.steps=150", "training.validate_every=50"]),
}


def stopped():
    """Gains until early stopping ends it: 20 of 60 validations without gain."""
    run = healthy(6000, 60, planned=100_000)
    at = run.validations["step"] / 6000
    return changed(run, validations={"si_sdr_i": np.where(at <= 40 / 60, 8 * rise(at), 8 * rise(40 / 60) - 0.2)})


def noisy():
    """Each validation misses the curve by 0.6 dB."""
    run = healthy(seed=3)
    missed = 0.6 * np.random.default_rng(4).standard_normal(run.n_validations)
    return changed(run, validations={"si_sdr_i": run.validations["si_sdr_i"] + missed})


def in_cycles():
    """The rate rises again four times."""
    run = healthy(seed=5)
    return changed(run, steps={"lr": 1e-3 * (0.01 + 0.495 * (1 + np.cos(np.pi * (run.steps["step"] % 800) / 800)))})


def resumed():
    """Two days lie between two validations, and the loader begins anew: nothing else changes."""
    run = healthy(seed=6)
    at = run.validations["step"]
    return changed(run, validations={"minutes": at / 60 + 2880 * (at > 2000)})


def of_voices():
    """A separation under a loss in dB: three of four steps are clipped, and voices come out softer at first."""
    run = healthy(gain_db=10)
    n = run.n_validations
    return changed(
        run,
        steps={"grad_norm": run.steps["grad_norm"] * 5},
        validations={"level_ratio_db": np.full(n, -2.6), "removed_correlation": np.full(n, 0.55)},
    )


def young():
    """Nothing can be asked of the first tenth of a run: it is silent, and worse than its input."""
    run = healthy(400, 4, planned=8000)
    bad = {"level_ratio_db": -20.0, "removed_correlation": 0.95, "si_sdr_i": -9.0}
    return changed(run, validations={name: np.full(4, value) for name, value in bad.items()})


RUNS = {
    "of minutes": lambda: healthy(400, 8),
    "of 12 steps": lambda: healthy(12, 3),
    "of 30,000 steps": lambda: healthy(30_000, 150),
    "stopped early": stopped,
    "on its way": lambda: healthy(4000, 20, planned=200_000),
    "just begun": young,
    "gone on with": resumed,
    "with a noisy curve": noisy,
    "in cycles": in_cycles,
    "adversarial": adversarial,
    "of voices": of_voices,
    "with a loss of spectra": lambda: healthy(loss=[{"kind": "l1"}, {"kind": "multi_stft"}]),
    "chosen by PESQ": lambda: healthy(checkpoints={"metric": "pesq"}),
    "of a weak network": lambda: healthy(gain_db=2.5),
}

SAID: dict[str, set[str]] = {
    "dull": {"DATA02"},  # a set: a filter that knows no future delays what it lets pass, here by 0.2 ms
}

"""Runs as their folders would tell of them: healthy ones, to be made ill."""

import json
from dataclasses import replace

import numpy as np
import yaml

from resound.doctor.run_evidence import RunEvidence

METRICS = ("si_sdr", "si_sdr_i", "snr", "snr_i", "lsd", "level_ratio_db", "pesq")
BASELINES = {
    "unprocessed": dict(zip(METRICS, (5.0, 0.0, 5.0, 0.0, 14.0, 1.2, 1.6), strict=True)),
    "silence": dict(zip(METRICS, (-100.0, -105.0, 0.0, -5.0, 40.0, -100.0, 1.0), strict=True)),
    "classic": dict(zip(METRICS, (6.5, 1.5, 6.5, 1.5, 12.5, 0.1, 1.8), strict=True)),
    "oracle_mask": dict(zip(METRICS, (14.0, 9.0, 14.0, 9.0, 7.0, 0.0, 3.9), strict=True)),
}


def healthy(n_steps=4000, n_validations=20, *, seed=0, gain_db=8.0, planned=None, **settings):
    """Return a run that gains to its end: noisy loss in dB, a cosine for its rate."""
    rng = np.random.default_rng(seed)
    step, at = np.arange(1, n_steps + 1), np.linspace(n_steps / n_validations, n_steps, n_validations).round()
    level = 5 + gain_db * rise(step / n_steps)  # SNR in dB of what it learns from
    gain = gain_db * rise(at / n_steps) - 0.4 + 0.1 * rng.standard_normal(n_validations)
    validations = {
        "step": at, "minutes": at / 60, "si_sdr": 5 + gain, "si_sdr_i": gain, "snr": 5 + gain, "snr_i": gain,
        "level_db": -0.3 + 0 * at, "level_ratio_db": -0.4 + 0.05 * rng.standard_normal(n_validations),
        "removed_correlation": 0.1 + 0.05 * rng.standard_normal(n_validations), "lsd": 13 - 3 * rise(at / n_steps),
        "pesq": 1.6 + 0.8 * rise(at / n_steps) + 0.01 * rng.standard_normal(n_validations),
    }  # fmt: skip
    steps = {
        "step": step,
        "lr": 1e-3 * np.minimum(1, step / 50) * (0.001 + 0.999 * 0.5 * (1 + np.cos(np.pi * step / n_steps))),
        "loss": -level + 1.5 * rng.standard_normal(n_steps),
        "grad_norm": 2.0 * np.exp(0.5 * rng.standard_normal(n_steps)),
    }
    config = {
        "checkpoints": {"metric": "si_sdr_i"},
        "training": {"steps": planned or n_steps, "batch_size": 4, "accumulate": 1, "n_devices": 1},
        "optimiser": {"clip_norm": 5.0},
        "loss": [{"kind": "snr", "weight": 1.0}],
        "data": {"n_examples": 20_000},
        **settings,
    }
    return RunEvidence(steps, validations, BASELINES, config, "run-1")


def adversarial(share_right=0.75, said=1.0, **kind):
    """Return a run with discriminators from its 500th step on."""
    run = healthy(**kind)
    n = len(run.steps["step"])
    rng, is_on = np.random.default_rng(1), run.steps["step"] > 500
    own = {
        "share_right": share_right + 0.005 * rng.standard_normal(n),
        "adversarial": said * (1 + 0.1 * rng.standard_normal(n)),
        "feature_matching": 0.01 * said * np.ones(n),
    }
    steps = {name: np.where(is_on, values, np.nan) for name, values in own.items()}
    told = {**run.settings, "adversarial": {"weight": 1.8, "feature_weight": 2.0}}
    return replace(run, steps={**run.steps, **steps}, settings=told)


def rise(share):
    """Return how much of what there is to gain is gained after a share of a run."""
    return np.log1p(30 * share) / np.log1p(30)


def changed(run, *, steps=None, validations=None):
    """Return a run with other columns."""
    return replace(run, steps={**run.steps, **(steps or {})}, validations={**run.validations, **(validations or {})})


def write_run(folder, run):
    """Write a run as `resound train` does."""
    folder.mkdir(exist_ok=True)
    for name, table in (("steps", run.steps), ("validation", run.validations)):
        rows = np.stack(list(table.values()), axis=1)
        lines = [",".join(table), *(",".join(f"{value:.9g}" for value in row) for row in rows)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    told = {name: {"overall": {key: {"mean": mean} for key, mean in each.items()}} for name, each in BASELINES.items()}
    (folder / "baselines.json").write_text(json.dumps(told))
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(run.settings)))
    return folder

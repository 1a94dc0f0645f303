"""Plans as they would be gathered: a healthy one, to be made ill."""

from dataclasses import replace

import numpy as np

from resound.config import set_value
from resound.doctor.plan_evidence import NetworkFacts, PlanEvidence

CONV = NetworkFacts("conv_tasnet", 8000, False, 10_200, 1530.0, filter_samples=40, stride_samples=20)
SPECTRAL = NetworkFacts("tf_gridnet", 16000, False, None, None, window_samples=512, hop_samples=128)


def healthy(network=CONV, **changes):
    """Return a plan without a fault; names with dots are settings (``training__steps=5``), others facts."""
    settings = {
        "task": "separate",
        "optimiser": {"lr": 1e-3},
        "schedule": {"kind": "cosine", "warmup_steps": 50},
        "training": {"steps": 20_000, "batch_size": 8, "accumulate": 1, "n_devices": 1, "validate_every": 500},
        "checkpoints": {"metric": "si_sdr_i", "stop_after": 20},
        "validation": {"perceptual": []},
        "loss": [{"kind": "snr", "weight": 1.0}],
    }
    for name in [name for name in changes if "__" in name]:
        set_value(settings, name.replace("__", "."), changes.pop(name))
    plan = PlanEvidence(
        settings, network, 0.001 + 0.999 * 0.5 * (1 + np.cos(np.linspace(0, np.pi, 1000))), False, False,
        4 * network.sample_rate, 20_000, False, None, 10**8, 10**11, 4e9, 16e9, False, None, "plan of a test",
    )  # fmt: skip
    return replace(plan, **changes)

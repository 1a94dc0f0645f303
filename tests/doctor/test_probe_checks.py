"""Each fault that the probes can see is named, however faint; healthy networks are left alone."""

from dataclasses import replace

import pytest

from resound.doctor.catalogue import run_checks
from resound.doctor.probe_evidence import ProbeEvidence
from resound.doctor.settings import DoctorSettings

HEALTHY = ProbeEvidence(
    task="enhance", losses={"right": -30.0, "noisy": -8.0, "silence": 0.0}, gain_db=12.0, n_steps=100, n_probed=4,
    without_gradient=(), not_finite=(), n_parameters=40, precision="32", gains_db={0: -0.2, -20: 0.0, -50: 0.3},
    silence_dbfs=-90.0, follows_level=True, example_seconds=0.05, step_seconds=0.4, batch_size=8, workers=2,
    repeat_difference=0.0, where="4 examples of a test",
)  # fmt: skip


def found(probe):
    return {finding.code: finding for finding in run_checks("probe", probe, DoctorSettings())}


def with_losses(right, noisy, silence):
    return replace(HEALTHY, losses={"right": right, "noisy": noisy, "silence": silence})


FAULTS = [
    *(("PROBE01", with_losses, losses) for losses in ((0.0, 0.0101, 0.01), (0.0, 0.02, 0.01), (0.1, 0.2, 0.05))),
    *(("PROBE02", lambda gain: replace(HEALTHY, gain_db=gain), (gain,)) for gain in (2.8, 0.5, -4.0)),
    *(("PROBE03", lambda n: replace(HEALTHY, without_gradient=tuple("abc"[:n])), (n,)) for n in (1, 2, 3)),
    *(("PROBE03", lambda n: replace(HEALTHY, not_finite=tuple("abc"[:n])), (n,)) for n in (1, 2, 3)),
    *(("PROBE04", lambda fall: replace(HEALTHY, gains_db={0: 0.0, -50: -fall}), (fall,)) for fall in (1.1, 6.0, 40.0)),
    *(("PROBE04", lambda level: replace(HEALTHY, silence_dbfs=level), (level,)) for level in (-59.0, -40.0, 0.0)),
    *(("PROBE05", lambda s: replace(HEALTHY, example_seconds=s), (seconds,)) for seconds in (0.13, 0.5, 10.0)),
    *(("PROBE06", lambda d: replace(HEALTHY, repeat_difference=d), (difference,)) for difference in (2e-4, 0.01, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "make", "strength"), FAULTS)
def test_a_fault_is_named_at_any_strength(code, make, strength):
    assert code in found(make(*strength))


@pytest.mark.parametrize(
    "probe",
    [
        HEALTHY,
        with_losses(0.0, 0.01, 0.02),
        replace(with_losses(-80.0, 0.1, 0.0), task="separate"),  # a mixture is as far from each voice as silence is
        replace(HEALTHY, gain_db=3.1),
        replace(HEALTHY, gains_db={0: 0.0, -50: 0.9}),
        replace(HEALTHY, example_seconds=0.1),
        replace(HEALTHY, workers=0, example_seconds=0.05),
        replace(HEALTHY, repeat_difference=1e-6),
    ],
)
def test_healthy_networks_are_left_alone(probe):
    assert not found(probe)


def test_the_number_of_workers_that_would_do_is_told():
    told = found(replace(HEALTHY, example_seconds=0.5))["PROBE05"]
    assert "training.workers=10" in told.remedy and "80%" in told.message


def test_a_network_that_promises_nothing_about_levels_is_only_described():
    told = found(replace(HEALTHY, follows_level=False, gains_db={0: 0.0, -50: -20.0}))
    assert told["PROBE04"].severity == "info"

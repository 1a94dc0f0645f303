"""Each fault of a plan is named, however faint; healthy plans are left alone."""

from dataclasses import replace

import numpy as np
import pytest

from resound.doctor.catalogue import run_checks
from resound.doctor.plan_network_checks import overlap_of
from resound.doctor.settings import DoctorSettings

from .plans import CONV, SPECTRAL, healthy


def found(plan, **settings):
    return {finding.code: finding for finding in run_checks("plan", plan, DoctorSettings(**settings))}


def spent(share, ratio):
    return healthy(factors=np.where(np.linspace(0, 1, 1000) < 1 - share, 1.0, 1 / ratio))


def enhancing(kinds, **changes):
    plan = healthy(**changes)
    return replace(plan, settings={**plan.settings, "task": "enhance", "loss": [{"kind": kind} for kind in kinds]})


FAULTS = [
    *(("PLAN01", lambda every: healthy(training__validate_every=every), (every,)) for every in (8000, 20_001, 10**6)),
    *(("PLAN01", lambda size: healthy(checkpoint_bytes=size), (size,)) for size in (6e10, 2e11, 1e13)),
    *(("PLAN02", spent, case) for case in ((0.12, 1000), (0.5, 2000), (0.9, 8200))),
    *(("PLAN02", lambda lr: healthy(optimiser__lr=lr), (lr,)) for lr in (1e-6, 1e-7, 1e-9)),
    *(("PLAN02", lambda n: healthy(schedule__warmup_steps=n), (n,)) for n in (10_500, 15_000, 50_000)),
    *(("PLAN03", lambda n: healthy(replace(CONV, context_samples=n)), (n,)) for n in (5500, 2000, 100)),
    *(("PLAN04", lambda n: healthy(SPECTRAL, segment_samples=n), (n,)) for n in (6000, 2000, 200)),
    *(("PLAN04", lambda n: healthy(segment_samples=n), (n,)) for n in (10_000, 4000, 800)),
    *(("PLAN05", lambda n: healthy(training__steps=n, checkpoints__stop_after=None), (n,))
      for n in (260_000, 3_000_000, 10**8)),
    *(("PLAN06", lambda size: healthy(step_bytes=size), (size,)) for size in (15e9, 30e9, 1e12)),
    *(("PLAN07", lambda hop: healthy(replace(SPECTRAL, hop_samples=hop)), (hop,)) for hop in (330, 400, 512)),
    *(("PLAN07", lambda n: healthy(replace(SPECTRAL, window_samples=n, hop_samples=n // 4)), (n,))
      for n in (120, 64, 16)),
    *(("PLAN08", enhancing, (kinds,)) for kinds in (["l1"], ["mse"], ["l1", "mse"])),
    ("PLAN08", lambda: healthy(level_blind=True), ()),
    *(("PLAN09", lambda n: healthy(examples_per_epoch=n, is_fixed_set=True), (n,)) for n in (790, 400, 10)),
    *(("PLAN09", lambda n: healthy(examples_per_epoch=n, is_fixed_set=True), (n,)) for n in (165_000, 10**6, 10**9)),
    *(("PLAN10", lambda db: healthy(replace(CONV, is_causal=True), future_db=db), (db,)) for db in (-58.0, -30.0, 0.0)),
    *(("PLAN11", lambda n: healthy(replace(CONV, stride_samples=n)), (n,)) for n in (18, 8, 41)),
    *(("PLAN12", lambda rate: healthy(replace(CONV, initial_sample_rate=rate)), (rate,))
      for rate in (8001, 16000, 48000)),
    *(("PLAN12", lambda rate: healthy(replace(CONV, preset_sample_rate=rate, preset_window_samples=40)), (rate,))
      for rate in (8001, 16000, 48000)),
    ("PLAN12", lambda: healthy(replace(SPECTRAL, sample_rate=44100), validation__perceptual=["pesq"]), ()),
]  # fmt: skip


@pytest.mark.parametrize(("code", "make", "strength"), FAULTS)
def test_a_fault_is_named_at_any_strength(code, make, strength):
    assert code in found(make(*strength))


HEALTHY = [
    healthy,
    lambda: healthy(SPECTRAL),
    lambda: healthy(replace(SPECTRAL, window_samples=2048, hop_samples=441, sample_rate=44100)),
    lambda: healthy(replace(SPECTRAL, hop_samples=256)),
    lambda: healthy(replace(CONV, filter_samples=16, stride_samples=8, context_samples=12_256)),
    lambda: healthy(replace(CONV, is_causal=True), future_db=-120.0),
    lambda: healthy(replace(CONV, is_causal=False), future_db=-3.0),
    lambda: healthy(replace(CONV, initial_sample_rate=8000)),
    lambda: healthy(replace(CONV, preset_sample_rate=16000, preset_window_samples=80)),
    lambda: healthy(checkpoints__stop_after=None),
    lambda: healthy(training__steps=10**6, checkpoints__stop_after=20),
    lambda: healthy(is_fixed_set=True),
    lambda: healthy(is_fixed_set=True, examples_per_epoch=None),
    lambda: healthy(examples_per_epoch=200),  # anew in every epoch
    lambda: healthy(device_bytes=None, step_bytes=1e15),
    lambda: healthy(training__steps=1500, training__validate_every=250),
    lambda: healthy(validation__perceptual=["pesq", "stoi"]),
    lambda: healthy(factors=np.full(1000, 1.0)),
    lambda: healthy(factors=0.5 ** np.arange(5.0)),
    lambda: enhancing(["l1", "multi_stft"]),
    lambda: enhancing(["snr"]),
    lambda: enhancing(["compressed_complex"], lowest_snr_db=-10.0),
]  # fmt: skip


@pytest.mark.parametrize("make", HEALTHY)
def test_healthy_plans_are_left_alone(make):
    assert not found(make())


def test_windows_that_reconstruct():
    assert overlap_of(512, 128) == pytest.approx(1)
    assert overlap_of(512, 256) == pytest.approx(0.5, abs=0.01)
    assert overlap_of(512, 511) < 1e-3
    assert overlap_of(512, 600) == 0


# The case studies, with the numbers that their reports tell.


def test_the_case_of_a_checkpoint_every_50_of_8_epochs():
    plan = healthy(training__steps=640, training__batch_size=4, training__validate_every=4000, examples_per_epoch=320)
    told = found(plan)["PLAN01"]
    assert told.severity == "error" and "every 4,000 steps (50 epochs) of 640 steps (8 epochs)" in told.message


def test_a_run_of_a_few_steps_is_only_warned():
    assert found(healthy(training__steps=12, training__validate_every=500))["PLAN01"].severity == "warning"


def test_the_case_of_the_mean_absolute_error_alone():
    told = found(enhancing(["l1"], lowest_snr_db=2.0))["PLAN08"]
    assert told.severity == "error" and "down to 2 dB" in told.message
    assert found(enhancing(["l1"], lowest_snr_db=10.0))["PLAN08"].severity == "warning"


def test_the_case_of_5000_epochs_on_a_plateau():
    each = 27
    plan = healthy(
        training__steps=5000 * each, training__validate_every=each, training__batch_size=128,
        examples_per_epoch=3456, checkpoints__stop_after=None, schedule__kind="plateau", optimiser__lr=5e-4,
        factors=np.maximum(0.5 ** (np.arange(1000) // 20), 6.1e-8 / 5e-4),
    )  # fmt: skip
    told = found(plan)
    assert "(5,000 epochs)" in told["PLAN05"].message
    assert "down by 8,197x, from 0.0005 to 6.1e-08 if validation does not gain" in told["PLAN02"].message


def test_the_case_of_seven_blocks_in_two_repeats():
    """At 16 kHz, filters of 40 samples: 509 frames."""
    told = found(healthy(replace(CONV, sample_rate=16000, context_samples=10_200)))["PLAN03"]
    assert "637.5 ms" in told.message and "1,530 ms" in told.message

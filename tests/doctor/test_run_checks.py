"""Each fault of a run is named, however faint; healthy runs are left alone."""

from dataclasses import replace

import numpy as np
import pytest

from resound.doctor.catalogue import run_checks
from resound.doctor.run_path import band_at
from resound.doctor.settings import DoctorSettings

from .runs import adversarial, changed, healthy, rise


def found(run, **settings):
    return {finding.code: finding for finding in run_checks("run", run, DoctorSettings(**settings))}


def plateau(stale):
    """Gain until a share of the run, then the noise of validation below the best."""
    run = healthy()
    at, gain = run.validations["step"] / 4000, run.validations["si_sdr_i"]
    flat = np.where(at <= 1 - stale, 7 * rise(at), 7 * rise(1 - stale) - 0.2 - 0.2 * np.sin(9 * at))
    return changed(run, validations={"si_sdr_i": flat + 0 * gain})


def overfit(gap_db):
    """A loss that goes on falling, and a validation that does not follow."""
    run = healthy()
    return changed(run, steps={"loss": run.steps["loss"] - gap_db * rise(run.steps["step"] / 4000)})


def fallen_validation(drop):
    """No loss in dB; validation gives back some of what it gained."""
    run = healthy(loss=[{"kind": "l1"}, {"kind": "multi_stft"}])
    at = run.validations["step"] / 4000
    steps = {"loss": 1.0 - 0.5 * run.steps["step"] / 4000 + 0.01 * np.sin(run.steps["step"])}
    return changed(run, steps=steps, validations={"si_sdr_i": np.where(at <= 0.5, 8 * 2 * at, 8 - 8 * drop)})


def silent(level_db, correlation):
    run = healthy()
    n = run.n_validations
    return changed(
        run,
        validations={
            "level_ratio_db": np.maximum(np.linspace(-1, 1.2 * level_db, n), level_db),
            "removed_correlation": np.full(n, correlation),
            "si_sdr_i": np.full(n, 0.2),
        },
    )  # fmt: skip


def off_by(away_db):
    """Validations beside a band of 1.4 dB to both sides of where they lie."""
    run = healthy()
    points = zip(run.validations["step"], run.validations["si_sdr_i"] - away_db, strict=True)
    at = {str(int(step)): [value - 1.4, value + 1.4] for step, value in list(points)[9:12]}
    return replace(run, settings={**run.settings, "expected": {"metric": "si_sdr_i", "at": at}})


def copied(away_db):
    run = healthy()
    n = run.n_validations
    names = {"si_sdr_i": 0.0, "snr_i": 0.0, "lsd": 14.0, "level_ratio_db": 1.2}
    return changed(run, validations={name: np.full(n, value + away_db) for name, value in names.items()})


def exploding(factor):
    run = healthy()
    return changed(run, steps={"grad_norm": run.steps["grad_norm"] * factor ** (run.steps["step"] / 4000)})


def vanishing(factor):
    run = healthy()
    return changed(run, steps={"grad_norm": run.steps["grad_norm"] * factor})


def clipped(factor):
    run = healthy()
    return changed(run, steps={"grad_norm": run.steps["grad_norm"] * factor})


def small_rate(share, ratio):
    run = healthy()
    step = run.steps["step"]
    return changed(run, steps={"lr": np.where(step > 4000 * (1 - share), 1e-3 / ratio, 1e-3)})


def tiny_rate(peak):
    return changed(healthy(), steps={"lr": np.full(4000, peak)})


def weak(gain_db):
    """A run whose best is hardly above its input."""
    run = healthy()
    return changed(run, validations={"si_sdr_i": gain_db - 1 + rise(run.validations["step"] / 4000)})


def strange_inputs(si_sdr_db):
    run = healthy()
    return replace(
        run, baselines={**run.baselines, "unprocessed": {**run.baselines["unprocessed"], "si_sdr": si_sdr_db}}
    )


def unheard(fall):
    """PESQ that falls from its best by a share of it while the loss falls."""
    run = healthy()
    at = run.validations["step"] / 4000
    return changed(run, validations={"pesq": np.where(at < 0.5, 1.5 + at, 2.0 * (1 - fall * (2 * at - 1)))})


def turned_over(si_sdr_db):
    run = healthy()
    n = run.n_validations
    wrong_db = -10 * np.log10(4 + 10 ** (-si_sdr_db / 10))  # a target of the right level, times -1, and its noise
    return changed(run, validations={"si_sdr": np.full(n, si_sdr_db), "snr": np.full(n, wrong_db)})


def with_offset(offset_db):
    """An offset of so much more power than the target."""
    run = healthy()
    n, more = run.n_validations, 10 ** (offset_db / 10)
    return changed(
        run,
        validations={
            "snr": np.full(n, -10 * np.log10(more + 0.1)),
            "level_ratio_db": run.validations["level_db"] + 10 * np.log10(1 + more),
        },
    )


def spoilt(name, step):
    run = healthy()
    values = run.steps[name].copy()
    values[step] = np.nan if step % 2 else np.inf
    return changed(run, steps={name: values})


def spoilt_metric():
    run = healthy()
    return changed(run, validations={"si_sdr_i": np.append(run.validations["si_sdr_i"][:-1], np.nan)})


FAULTS = [
    *(("RUN01", plateau, (stale,)) for stale in (0.6, 0.75, 0.9)),
    *(("RUN02", overfit, (gap,)) for gap in (8, 12, 20)),
    *(("RUN02", fallen_validation, (drop,)) for drop in (0.25, 0.5, 0.9)),
    *(("RUN03", silent, case) for case in ((-6.5, 0.75), (-10, 0.9), (-25, 0.998))),
    *(("RUN04", copied, (away,)) for away in (0.25, 0.1, 0.0)),
    *(("RUN05", exploding, (factor,)) for factor in (80, 500, 1e5)),
    *(("RUN05", vanishing, (factor,)) for factor in (4e-7, 1e-8, 1e-12)),
    *(("RUN05", clipped, (factor,)) for factor in (12, 60, 1000)),
    *(("RUN06", small_rate, case) for case in ((0.12, 1100), (0.4, 2000), (0.9, 8200))),
    *(("RUN06", tiny_rate, (peak,)) for peak in (9e-7, 1e-7, 1e-9)),
    *(("RUN07", weak, (gain,)) for gain in (1.7, 0.2, -5.0)),
    *(("RUN08", lambda right: adversarial(share_right=right), (right,)) for right in (0.975, 0.985, 0.999)),
    *(("RUN08", lambda right: adversarial(share_right=right), (right,)) for right in (0.515, 0.507, 0.5)),
    *(("RUN08", lambda said: adversarial(said=said), (said,)) for said in (0.04, 0.01, 0.0)),
    *(("RUN09", unheard, (fall,)) for fall in (0.08, 0.2, 0.5)),
    *(("RUN10", spoilt, case) for case in (("loss", 3999), ("grad_norm", 2000), ("loss", 1))),
    ("RUN10", spoilt_metric, ()),
    *(("RUN11", off_by, (away_db,)) for away_db in (-1.6, 1.6, -20.0)),
    *(("RUN12", strange_inputs, (value_db,)) for value_db in (-21.0, -28.0, -36.4)),
    *(("RUN13", turned_over, (si_sdr_db,)) for si_sdr_db in (4.0, 10.7, 30.0)),
    *(("RUN13", with_offset, (offset_db,)) for offset_db in (3.0, 15.0, 40.0)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "make", "strength"), FAULTS)
def test_a_fault_is_named_at_any_strength(code, make, strength):
    assert code in found(make(*strength))


def test_the_band_is_interpolated_over_the_logarithm_of_the_step_and_ends_where_nothing_is_known():
    known = {100: (1, 3), 400: (3, 7)}
    assert band_at(known, 100) == (1, 3)
    assert band_at(known, 200) == pytest.approx((2, 5))
    assert band_at(known, 400) == (3, 7)
    assert band_at(known, 99) is None
    assert band_at(known, 401) is None


def test_what_lies_outside_is_told_with_the_band_and_with_what_it_may_mean():
    told = {away_db: str(found(off_by(away_db))["RUN11"]) for away_db in (-3.0, 3.0)}
    assert "loss and rate" in told[-3.0]
    assert "among those to learn from" in told[3.0]
    assert all("outside of" in text and "of 3 validations" in text for text in told.values())


def test_of_a_metric_that_should_be_low_a_low_value_is_too_good():
    def at_lsd(low):
        return healthy(expected={"metric": "lsd", "at": {"200": [low, low + 1]}})

    assert "easier than usual" in str(found(at_lsd(20))["RUN11"])
    assert "before more time" in str(found(at_lsd(1))["RUN11"])


def test_in_the_band_and_outside_of_its_steps_nothing_is_said():
    assert "RUN11" not in found(off_by(0.0))
    assert "RUN11" not in found(healthy(expected={"metric": "si_sdr_i", "at": {"7": [90, 99]}}))


def young():
    """Nothing can be asked of the first tenth of a run: it is silent, and worse than its input."""
    run = healthy(400, 4, planned=8000)
    bad = {"level_ratio_db": -20.0, "removed_correlation": 0.95, "si_sdr_i": -9.0}
    return changed(run, validations={name: np.full(4, value) for name, value in bad.items()})


def early_stopping():
    """20 of 60 validations without gain are what early stopping takes."""
    run = healthy(6000, 60, planned=100_000)
    at = run.validations["step"] / 6000
    return changed(run, validations={"si_sdr_i": np.where(at <= 40 / 60, 8 * rise(at), 8 * rise(40 / 60) - 0.2)})


def halving():
    run = healthy()
    return changed(run, steps={"lr": 1e-3 * 0.5 ** (run.steps["step"] // 600)})


def of_separation():
    """Conv-TasNet under a loss in dB: three of four steps are clipped, and voices come out softer at first."""
    run = healthy(gain_db=10)
    n = run.n_validations
    return changed(
        run,
        steps={"grad_norm": run.steps["grad_norm"] * 5},
        validations={"level_ratio_db": np.full(n, -2.6), "removed_correlation": np.full(n, 0.55)},
    )


HEALTHY = [
    *(lambda seed=seed: healthy(seed=seed) for seed in range(6)),
    lambda: healthy(1500, 6),
    lambda: healthy(400, 8),
    lambda: healthy(60, 2),
    lambda: healthy(12, 3),
    lambda: healthy(20_000, 100),
    lambda: healthy(4000, 20, planned=200_000),
    lambda: healthy(gain_db=2.5),
    lambda: healthy(gain_db=15),
    lambda: healthy(checkpoints={"metric": "pesq"}),
    lambda: healthy(checkpoints={"metric": "lsd"}),
    lambda: healthy(loss=[{"kind": "l1"}, {"kind": "multi_stft"}]),
    lambda: healthy(loss="two_stage"),
    lambda: replace(healthy(), baselines={}),
    lambda: replace(healthy(), validations={}),
    lambda: replace(healthy(), steps={}),
    *(lambda right=right: adversarial(right) for right in (0.6, 0.75, 0.93)),
    young, early_stopping, halving, of_separation,
]  # fmt: skip


@pytest.mark.parametrize("make", HEALTHY)
def test_healthy_runs_are_left_alone(make):
    assert not found(make())


# The case studies, with the numbers that their reports tell.


def test_the_case_of_the_best_epoch_long_ago():
    """TF-GridNet: best at epoch 100 of 1,496, 27 steps each; the rate from 5e-4 to 6.1e-8."""
    n_epochs, each = 1496, 27
    settings = {"data": {"n_examples": 3456}, "optimiser": {"clip_norm": 0.5}}
    run = healthy(n_epochs * each, n_epochs, planned=5000 * each, **settings)
    run.settings["training"].update(batch_size=32, accumulate=4, steps=5000 * each)
    epoch, step = np.arange(1, n_epochs + 1), run.steps["step"]
    gain = np.where(epoch == 100, 2.5, 0.21 + 0.1 * np.sin(epoch))
    rate = np.maximum(5e-4 * 0.5 ** (step // (each * 50)), 6.1e-8)
    told = found(changed(run, steps={"lr": rate}, validations={"si_sdr_i": gain}))
    assert "1,396 epochs) ago" in told["RUN01"].message and "93%" in told["RUN01"].message
    assert "down by 8,197x (from 0.0005 to 6.1e-08)" in told["RUN06"].message


def test_the_limit_for_clipping_is_told_as_people_write_numbers():
    run = healthy()
    told = found(changed(run, steps={"grad_norm": np.full(4000, 843.0)}))["RUN05"]
    assert "set optimiser.clip_norm to about 1,700, or" in told.remedy


def test_the_case_of_the_model_that_hardly_differs_from_its_input():
    """The same run judged: +0.21 dB on average."""
    run = healthy()
    told = found(changed(run, validations={"si_sdr_i": np.full(20, 0.21)}))
    assert told["RUN07"].severity == "error" and "0.21 dB" in told["RUN07"].message


def test_the_case_of_800_mixtures_learnt_by_heart():
    """Conv-TasNet: -22 dB on what it learns from, 4.66 dB on validation."""
    run = healthy()
    steps = {"loss": -5 - 17.1 * rise(run.steps["step"] / 4000)}
    valid = 4.66 * np.minimum(1, run.validations["step"] / 2000)
    told = found(changed(run, steps=steps, validations={"snr": valid}))
    assert told["RUN02"].severity == "error"
    assert "-22.0 against 4.66 dB" in told["RUN02"].message


def test_a_loss_with_a_term_for_the_level_is_no_excuse():
    """Our own training on 800 mixtures: -8.3 dB on what it learns from, 1.6 dB on validation."""
    run = healthy(loss=[{"kind": "si_sdr_with_level", "level_weight": 0.2}])
    steps = {"loss": -8.3 * rise(run.steps["step"] / 4000)}
    told = found(changed(run, steps=steps, validations={"si_sdr": np.full(run.n_validations, 1.6)}))
    assert "SI-SDR is at least 8.2 dB on what it learns from and 1.60 dB on validation" in told["RUN02"].message


def test_the_case_of_the_film_that_was_muted():
    """U-Net: 90 % removed; what was removed correlates with the input by 0.998."""
    told = found(silent(-10.0, 0.998))
    assert told["RUN03"].severity == "error"
    assert "10% of the target's energy" in told["RUN03"].message and "0.998" in told["RUN03"].message


def test_a_network_that_only_equalises_is_told_so():
    run = healthy(gain_db=3.4)
    told = found(
        replace(run, baselines={**run.baselines, "fixed_filter": run.baselines["classic"] | {"si_sdr_i": 3.0}})
    )
    assert told["RUN07"].severity == "warning" and "a filter that never changes 3.00 dB" in told["RUN07"].message
    assert "the same at all times" in told["RUN07"].remedy
    assert "RUN07" not in found(run)

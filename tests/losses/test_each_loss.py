"""What all losses have in common: shapes, the right answer is lowest, finite gradients, other people's maths."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound import losses, metrics  # noqa: E402
from resound.losses.weighted import FUNCTIONS  # noqa: E402
from signals import speech_like  # noqa: E402

RATE = 16000
SMALL = {"multi_stft": {"fft_sizes": (16, 32), "hops": (8, 10), "windows": (12, 24)}}
SMALL |= {name: {"n_fft": 16, "hop": 8} for name in ("spectral_l1", "compressed_complex", "over_suppression")}
each_loss = pytest.mark.parametrize("name", FUNCTIONS)


@pytest.fixture(scope="module")
def clean():
    sounds = [speech_like(1.5, RATE, seed) for seed in range(4)]
    return torch.tensor(np.stack(sounds), dtype=torch.float32).unflatten(0, (2, 2))  # (batch, source, time)


def with_noise(clean, snr_db, seed=0):
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    level = clean.square().mean(-1, keepdim=True).sqrt() * 10 ** (-snr_db / 20)
    return clean + level * noise


@each_loss
def test_each_example_and_source_has_a_loss_of_its_own(name, clean):
    noisy = with_noise(clean, 10)
    together = FUNCTIONS[name](noisy, clean)
    assert together.shape == (2, 2)
    alone = [[FUNCTIONS[name](noisy[b, s], clean[b, s]) for s in range(2)] for b in range(2)]
    torch.testing.assert_close(together, torch.tensor(alone), rtol=1e-4, atol=1e-6)


@each_loss
def test_leading_axes_are_broadcast(name, clean):
    noisy = with_noise(clean, 10)
    pairs = FUNCTIONS[name](noisy.unsqueeze(1), clean.unsqueeze(2))
    assert pairs.shape == (2, 2, 2)  # (batch, target, estimate)
    torch.testing.assert_close(pairs[:, 1, 0], FUNCTIONS[name](noisy[:, 0], clean[:, 1]), rtol=1e-4, atol=1e-6)


BY_BIN = {"spectral_l1", "multi_stft", "compressed_complex"}  # each bin of a spectrum counts, however quiet


@each_loss
def test_the_right_answer_is_the_lowest_and_silence_the_worst(name, clean):
    """With noise that sounds where the speech does, 20 dB below it."""
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    right, noisy, silent = (FUNCTIONS[name](x, clean) for x in (clean, clean + 0.1 * noise * clean, 0 * clean))
    assert bool((right < noisy).all())
    assert bool((noisy < silent).all())


@each_loss
def test_white_noise_is_worse_than_silence_where_each_bin_counts(name, clean):
    """At 10 dB: most bins of speech are quieter than the noise, in its pauses all.  Such losses do not stand alone.

    SNR and the errors of samples sum up powers, in which noise is the tenth part of the speech; over-suppression has
    nothing against noise but where it cancels speech.
    """
    noisy, silent = FUNCTIONS[name](with_noise(clean, 10), clean), FUNCTIONS[name](0 * clean, clean)
    assert bool(((noisy > silent) == (name in BY_BIN)).all())


@each_loss
def test_less_noise_is_a_lower_loss(name, clean):
    ladder = torch.stack([FUNCTIONS[name](with_noise(clean, snr_db), clean) for snr_db in (-10, 0, 10, 20, 30)])
    if name != "over_suppression":  # which is not for noise
        assert bool((ladder.diff(dim=0) < 0).all())


@each_loss
def test_a_wrong_level_is_seen_but_by_si_sdr(name, clean):
    nearly = clean * (1 + 0.01 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)))
    right, quiet, loud = (FUNCTIONS[name](gain * nearly, clean) for gain in (1.0, 0.5, 2.0))
    if name == "si_sdr":
        torch.testing.assert_close(quiet, loud, rtol=0, atol=0.1)
    else:
        assert bool((quiet > right).all())
        assert bool(((loud > right) == (name != "over_suppression")).all())


@each_loss
def test_gradients_are_those_of_the_function(name):
    torch.manual_seed(0)
    estimate, target = (torch.randn(2, 1, 40, dtype=torch.float64) for _ in range(2))
    estimate = estimate * (estimate * target).mean(dim=-1, keepdim=True).sign()  # none that is turned over: see below
    assert torch.autograd.gradcheck(
        lambda x: FUNCTIONS[name](x, target, **SMALL.get(name, {})), estimate.requires_grad_()
    )


@each_loss
@pytest.mark.parametrize("estimate_is_silent", [True, False])
@pytest.mark.parametrize("target_is_silent", [True, False])
def test_digital_silence_gives_finite_losses_and_gradients(name, estimate_is_silent, target_is_silent, clean):
    estimate = (torch.zeros_like(clean) if estimate_is_silent else clean.clone()).requires_grad_()
    target = torch.zeros_like(clean) if target_is_silent else clean
    loss = FUNCTIONS[name](estimate, target)
    loss.sum().backward()
    assert bool(loss.isfinite().all())
    assert bool(estimate.grad.isfinite().all())
    assert loss.abs().max().item() < 200  # a silent target outweighs no batch


@each_loss
def test_a_silent_target_still_asks_for_silence(name, clean):
    if name == "over_suppression":  # nothing can be suppressed
        return
    target, noise = torch.zeros_like(clean), with_noise(torch.zeros_like(clean) + 1e-3, 0) - 1e-3
    louder, quieter = (FUNCTIONS[name](gain * noise, target) for gain in (1.0, 0.5))
    assert bool((quieter < louder).all())


@each_loss
@pytest.mark.parametrize("n_samples", [1, 2, 7, 333])
def test_any_length_has_a_loss(name, n_samples):
    torch.manual_seed(0)
    assert bool(FUNCTIONS[name](torch.randn(1, 1, n_samples), torch.randn(1, 1, n_samples)).isfinite().all())


@each_loss
def test_under_autocast_the_loss_is_that_of_single_precision(name, clean):
    estimate = with_noise(clean, 10).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = FUNCTIONS[name](estimate, clean)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, FUNCTIONS[name](estimate.float(), clean))
    loss.sum().backward()
    assert bool(estimate.grad.isfinite().all())


@each_loss
def test_a_loss_first_made_in_validation_serves_training(name, clean):
    """What is kept from call to call (windows) must not be of inference mode."""
    from resound.losses.spectral import hann

    hann.cache_clear()
    with torch.inference_mode():
        FUNCTIONS[name](clean, clean)
    estimate = clean.clone().requires_grad_()
    FUNCTIONS[name](estimate, clean).sum().backward()  # would raise
    assert estimate.grad is not None


def test_si_sdr_is_that_of_the_metrics(clean):
    noisy = with_noise(clean, 7) * 3 + 0.1
    expected = metrics.si_sdr(noisy.double().numpy(), clean.double().numpy())
    np.testing.assert_allclose(-losses.si_sdr(noisy, clean), expected, atol=1e-3)


def test_si_sdr_without_the_mean_taken_out_counts_an_offset(clean):
    noisy = with_noise(clean, 7) + 0.1
    e, t = noisy.double().numpy(), clean.double().numpy()
    wanted = (e * t).sum(-1, keepdims=True) / (t**2).sum(-1, keepdims=True) * t
    expected = 10 * np.log10((wanted**2).sum(-1) / ((e - wanted) ** 2).sum(-1))
    np.testing.assert_allclose(-losses.si_sdr(noisy, clean, zero_mean=False), expected, atol=1e-3)


def test_snr_is_the_one_that_was_mixed(clean):
    e, t = with_noise(clean, 12).double().numpy(), clean.double().numpy()
    expected = 10 * np.log10((t**2).sum(-1) / ((e - t) ** 2).sum(-1))
    np.testing.assert_allclose(-losses.snr(torch.tensor(e), clean), expected, atol=1e-3)
    np.testing.assert_allclose(expected, 12, atol=0.1)


def test_a_limited_snr_levels_off(clean):
    for snr_db, expected in ((60, -30 + 10 * math.log10(1.001)), (30, -30 + 10 * math.log10(2)), (0, 0.0043)):
        loss = losses.snr(with_noise(clean, snr_db), clean, max_snr_db=30)
        np.testing.assert_allclose(loss, expected, atol=0.1)


@pytest.mark.parametrize("name", ["si_sdr", "si_sdr_with_level"])
def test_a_limited_si_sdr_levels_off(name, clean):
    free, limited = (FUNCTIONS[name](clean, clean, max_si_sdr_db=bound) for bound in (None, 30))
    assert bool((free < -60).all())
    torch.testing.assert_close(limited, torch.full((2, 2), -30.0), rtol=0, atol=0.01)
    noisy = with_noise(clean, 0)
    torch.testing.assert_close(
        FUNCTIONS[name](noisy, clean, max_si_sdr_db=30), FUNCTIONS[name](noisy, clean), rtol=0, atol=0.02
    )


def test_silence_is_a_level_against_the_mixture_that_levels_off(clean):
    mixture = clean.sum(dim=1)
    power = mixture.square().mean(dim=-1)
    for gain_db, expected_db in ((0.0, 10 * math.log10(1.01)), (-20.0, -20 + 10 * math.log10(2)), (-80.0, -20.0)):
        level_db = losses.silence(10 ** (gain_db / 20) * mixture, power)
        torch.testing.assert_close(level_db, torch.full((2,), expected_db), rtol=0, atol=0.02)


def test_the_level_term_is_in_decibels(clean):
    halved = losses.si_sdr_with_level(0.5 * with_noise(clean, 10), clean, level_weight=2.0)
    expected = losses.si_sdr(with_noise(clean, 10), clean) + 2 * 20 * math.log10(2)
    torch.testing.assert_close(halved, expected, rtol=0, atol=0.2)  # the noise has a share that resembles the speech


def test_a_level_that_is_heard_has_a_sign_and_a_mean(clean):
    heard, blind = losses.si_sdr_with_level, losses.si_sdr
    for spoilt in (-clean, clean + 0.1):
        assert bool((blind(spoilt, clean) < -60).all())
        assert bool((heard(spoilt, clean) > 0).all())
    torch.testing.assert_close(heard(-clean, clean), torch.full((2, 2), 20 * math.log10(2)), rtol=0, atol=1e-3)
    assert bool((heard(clean + 0.1, clean, zero_mean=True) < -60).all())


def test_what_is_turned_over_finds_back(clean):
    """The gradient of a gain leads through silence to the target, from wherever it begins."""
    noisy = with_noise(clean, 20)
    for gain in (-1.0, -0.3, -0.01):
        gain = torch.full((2, 2, 1), gain, requires_grad=True)
        optimiser = torch.optim.Adam([gain], 0.02)
        for _ in range(1000):
            optimiser.zero_grad()
            losses.si_sdr_with_level(gain * noisy, clean).mean().backward()
            optimiser.step()
        torch.testing.assert_close(gain.detach(), torch.ones(2, 2, 1), rtol=0, atol=0.05)


def test_a_voice_is_not_more_like_another_for_being_turned_over(clean):
    one, other = clean[:, :1], clean[:, 1:]
    likeness = (one * other).mean(dim=-1, keepdim=True)
    against = -likeness.sign() * one  # of the two polarities the one that is less like the other voice
    blind = losses.si_sdr(against, other, zero_mean=False)
    assert bool((losses.si_sdr_with_level(against, other) >= blind).all())


def test_l1_and_mse_are_means_over_time():
    estimate, target = torch.tensor([[[1.0, -1.0, 0.5, 0.0]]]), torch.zeros(1, 1, 4)
    assert float(losses.l1(estimate, target)) == 0.625
    assert float(losses.mse(estimate, target)) == 0.5625


def slow_spectrum(x: NDArray, n_fft: int, hop: int, window: int) -> NDArray:
    """Return the spectrum by one transform after the other, ``(frame, freq)``."""
    padded = np.pad(x, n_fft // 2)
    taper = np.zeros(n_fft)
    start = (n_fft - window) // 2
    taper[start : start + window] = scipy.signal.get_window("hann", window)
    starts = range(0, len(padded) - n_fft + 1, hop)
    return np.array([np.fft.rfft(padded[start : start + n_fft] * taper) for start in starts])


@pytest.mark.parametrize("high_weight", [1.0, 3.0])
def test_multi_stft_is_that_of_one_transform_after_the_other(clean, high_weight):
    estimate, target = (x[0, 0, :6000].double() for x in (with_noise(clean, 10), clean))
    expected = 0.0
    for n_fft, hop, window in zip((512, 1024, 2048), (50, 120, 240), (240, 600, 1200), strict=True):
        e, t = (np.sqrt(np.abs(slow_spectrum(x.numpy(), n_fft, hop, window)) ** 2 + 1e-7) for x in (estimate, target))
        weights = np.where(np.fft.rfftfreq(n_fft, 1 / RATE) >= 4000, high_weight, 1.0) * np.ones_like(e)
        expected += np.sqrt((weights * (e - t) ** 2).sum() / (weights * t**2).sum()) / 3
        expected += np.average(np.abs(np.log(e) - np.log(t)), weights=weights) / 3
    loss = losses.multi_stft(estimate[None, None], target[None, None], high_weight=high_weight, sample_rate=RATE)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-6)


def test_spectral_convergence_goes_on_as_its_logarithm_and_stays_bounded():
    """Far above the target: full-scale noise against silence, which is 2e6 times the floor's norm without the bound."""
    torch.manual_seed(0)
    noise, silence = torch.randn(1, 1, 16000), torch.zeros(1, 1, 16000)
    loud, louder = (losses.multi_stft(gain * noise, silence) for gain in (0.1, 1.0))
    assert float(louder) < 80
    torch.testing.assert_close(louder - loud, torch.full((1, 1), 5 * math.log(10)), rtol=0, atol=0.01)


def test_spectral_l1_is_that_of_one_transform_after_the_other(clean):
    estimate, target = (x[0, 0, :6000].double() for x in (with_noise(clean, 10), clean))
    e, t = (slow_spectrum(x.numpy(), 1024, 256, 1024) / 32 for x in (estimate, target))
    both = [x[None, None] for x in (estimate, target)]
    by_parts = (np.abs((e - t).real) + np.abs((e - t).imag)).mean() / 2
    np.testing.assert_allclose(float(losses.spectral_l1(*both)), by_parts, rtol=1e-6)
    by_magnitude = np.abs(np.abs(e) - np.abs(t)).mean()
    np.testing.assert_allclose(float(losses.spectral_l1(*both, of="magnitude")), by_magnitude, rtol=1e-3)  # the floor


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(
            ("compressed_complex", {"complex_share": share, "exponent": e})
            for share, e in ((0, 0.3), (1, 0.5), (0.4, 1))
        ),
        ("over_suppression", {"exponent": 0.6}),
    ],
)
def test_gradients_by_hand_hold_for_all_options_and_what_is_broadcast(name, options):
    generator = torch.Generator().manual_seed(1)
    few, many = (torch.randn(2, n, 40, generator=generator, dtype=torch.float64) for n in (1, 3))
    about = {**SMALL[name], **options, "sample_rate": 8000, "bandwidth_hz": torch.tensor([2500.0, 4000.0])}
    for estimate, target in ((few, many), (many, few)):
        assert torch.autograd.gradcheck(
            lambda x, target=target: FUNCTIONS[name](x, target, **about), estimate.clone().requires_grad_()
        )


def test_compressed_complex_is_that_of_one_transform_after_the_other(clean):
    estimate, target = (x[0, 0, :6000].double() for x in (with_noise(clean, 10), clean))
    e, t = (slow_spectrum(x.numpy(), 512, 128, 512) / math.sqrt(512) for x in (estimate, target))
    magnitudes = [(np.abs(x) ** 2 + 1e-10) ** 0.15 for x in (e, t)]  # the floor counts where speech pauses
    with_phase = [
        each * np.sin(np.arctan(np.abs(x) * 1e5)) * np.exp(1j * np.angle(x))
        for each, x in zip(magnitudes, (e, t), strict=True)
    ]
    expected = 0.7 * np.mean((magnitudes[0] - magnitudes[1]) ** 2)
    expected += 0.3 * np.mean(np.abs(with_phase[0] - with_phase[1]) ** 2)
    loss = losses.compressed_complex(estimate[None, None], target[None, None])
    np.testing.assert_allclose(float(loss), expected, rtol=1e-6)


def test_over_suppression_sees_only_what_is_missing(clean):
    assert bool((losses.over_suppression(1.5 * clean, clean) < 1e-15).all())
    assert bool((losses.over_suppression(clean, clean) == 0).all())
    magnitude = np.abs(slow_spectrum(clean[0, 0].double().numpy(), 512, 128, 512)) / math.sqrt(512)
    expected = np.mean(((1 - 0.5**0.3) * magnitude**0.3) ** 2)
    np.testing.assert_allclose(float(losses.over_suppression(0.5 * clean, clean)[0, 0]), expected, rtol=1e-2)


def test_two_stage_adds_the_errors_of_both_stages():
    from resound.models import build

    network = build("two_stage_unet", n_fft=64, hop=16, depth=2, num_tfc=1, widths=(4, 4, 4), sample_rate=RATE)
    torch.manual_seed(0)
    noisy, clean = torch.randn(2, 1, 800), torch.randn(2, 1, 800)
    stages, target = network.estimates(noisy), network.spectrogram(clean)
    loss = losses.two_stage(stages, target)
    assert loss.shape == (2,)
    expected = sum((stage - target).abs().mean((1, 2, 3)) for stage in stages)
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert bool((losses.two_stage([target, target], target) == 0).all())

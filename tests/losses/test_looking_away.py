"""Above an example's bandwidth nothing counts, below it everything does."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound import losses  # noqa: E402
from resound.losses.looking_away import EDGE_HZ, heard  # noqa: E402
from resound.losses.weighted import FUNCTIONS  # noqa: E402
from signals import speech_like  # noqa: E402

RATE = 32000
BANDWIDTH_HZ = torch.tensor([8000.0, 12000.0])
each_loss = pytest.mark.parametrize("name", FUNCTIONS)


def noise(n_samples, *, below_hz=None, above_hz=None, seed=0):
    """White noise, of which only one side of a frequency is left: ``(time,)``."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n_samples))
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / RATE)
    spectrum[frequency_hz > (below_hz or RATE)] = 0
    spectrum[frequency_hz < (above_hz or 0)] = 0
    return torch.tensor(np.fft.irfft(spectrum, n_samples), dtype=torch.float32)


@pytest.fixture(scope="module", params=[8000, 8019])
def material(request):
    n_samples = request.param
    target = torch.tensor(
        np.stack([speech_like(1, RATE, seed)[8000:][:n_samples] for seed in range(2)]), dtype=torch.float32
    )
    target = torch.nn.functional.pad(target, (0, n_samples - target.shape[-1]))[:, None]
    estimate = target + 0.02 * noise(n_samples)
    above = torch.stack([noise(n_samples, above_hz=float(hz), seed=1) for hz in BANDWIDTH_HZ])[:, None]
    return estimate, target, above


@each_loss
def test_what_the_estimate_does_above_the_bandwidth_changes_nothing(name, material):
    estimate, target, above = material
    options = {"sample_rate": RATE, "bandwidth_hz": BANDWIDTH_HZ}
    before = FUNCTIONS[name](estimate, target, **options)
    torch.testing.assert_close(
        FUNCTIONS[name](estimate + 0.05 * above, target, **options), before, rtol=1e-5, atol=1e-7
    )
    assert not torch.allclose(
        FUNCTIONS[name](estimate + 0.05 * above, target), FUNCTIONS[name](estimate, target), rtol=1e-4, atol=0
    )


@each_loss
def test_what_it_does_below_counts(name, material):
    estimate, target, _ = material
    options = {"sample_rate": RATE, "bandwidth_hz": BANDWIDTH_HZ}
    worse = 0.5 * estimate + 0.1 * noise(target.shape[-1], below_hz=7000.0, seed=3) * (name != "over_suppression")
    assert bool((FUNCTIONS[name](worse, target, **options) > FUNCTIONS[name](estimate, target, **options)).all())


@each_loss
def test_no_gradient_points_above_the_bandwidth(name, material):
    estimate = material[0].clone().requires_grad_()
    FUNCTIONS[name](estimate, material[1], sample_rate=RATE, bandwidth_hz=BANDWIDTH_HZ).sum().backward()
    gradient = torch.fft.rfft(estimate.grad).abs()
    frequency_hz = torch.fft.rfftfreq(estimate.shape[-1], 1 / RATE)
    for example, bandwidth_hz in enumerate(BANDWIDTH_HZ):
        above = gradient[example, 0, frequency_hz >= bandwidth_hz].max()
        assert above < 1e-5 * gradient[example, 0, frequency_hz < bandwidth_hz].max()


@each_loss
def test_a_bandwidth_that_reaches_half_the_rate_changes_nothing_at_all(name, material):
    estimate, target, _ = material
    whole = FUNCTIONS[name](estimate, target, sample_rate=RATE)
    for bandwidth_hz in ([16000.0, 16000.0], [20000.0, 0.0]):  # 0 is that of silence: not known
        same = FUNCTIONS[name](estimate, target, sample_rate=RATE, bandwidth_hz=torch.tensor(bandwidth_hz))
        assert torch.equal(same, whole)


@each_loss
def test_examples_do_not_share_their_bandwidth(name, material):
    estimate, target, _ = material
    mixed = FUNCTIONS[name](estimate, target, sample_rate=RATE, bandwidth_hz=torch.tensor([16000.0, 9000.0]))
    torch.testing.assert_close(mixed[0], FUNCTIONS[name](estimate, target)[0], rtol=1e-4, atol=1e-7)
    alone = FUNCTIONS[name](estimate[1:], target[1:], sample_rate=RATE, bandwidth_hz=torch.tensor([9000.0]))
    torch.testing.assert_close(mixed[1:], alone, rtol=1e-4, atol=1e-7)


def test_the_filter_keeps_what_is_below_its_edge_and_leaves_nothing_above():
    x = noise(RATE)[None, None]
    filtered, _, _ = heard(x, x, RATE, torch.tensor([5000.0]))
    gain = (torch.fft.rfft(filtered).abs() / torch.fft.rfft(x).abs())[0, 0]  # a bin has 1 Hz
    torch.testing.assert_close(gain[10 : 5000 - int(EDGE_HZ)], torch.ones(4990 - int(EDGE_HZ)), rtol=0, atol=1e-3)
    assert float(gain[5000:].max()) < 1e-3
    assert float(gain[5000 - int(EDGE_HZ / 2)]) == pytest.approx(0.5, abs=0.01)


def test_the_spectrograms_of_two_stages_are_not_compared_above():
    target = torch.randn(2, 2, 257, 5)
    estimate = target.clone()
    estimate[:, :, 129:] += 1
    options = {"sample_rate": 16000, "bandwidth_hz": torch.tensor([4000.0, 8000.0])}
    loss = losses.two_stage([estimate, target], target, **options)
    torch.testing.assert_close(loss, torch.tensor([0.0, 128 / 257]))


def test_a_bandwidth_needs_the_rate_and_one_number_an_example(material):
    estimate, target, _ = material
    with pytest.raises(ValueError, match="bandwidth_hz is given without sample_rate"):
        losses.l1(estimate, target, bandwidth_hz=BANDWIDTH_HZ)
    with pytest.raises(ValueError, match=r"bandwidth_hz is \(batch,\), not \(2, 1\)"):
        losses.l1(estimate, target, sample_rate=RATE, bandwidth_hz=BANDWIDTH_HZ[:, None])
    with pytest.raises(ValueError, match="high_weight is given without sample_rate"):
        losses.multi_stft(estimate, target, high_weight=2)

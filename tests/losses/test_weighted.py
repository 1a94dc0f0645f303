"""A sum of losses does what its YAML says, and says what is wrong with it."""

from __future__ import annotations

import inspect
import pickle

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound import losses  # noqa: E402
from resound.errors import ConfigError  # noqa: E402
from resound.losses import loss_from  # noqa: E402
from resound.losses.weighted import FUNCTIONS, RATIOS, SpectralTerm, WeightedLoss  # noqa: E402

RATE = 16000
WRITTEN = """
- {kind: l1, weight: 1.0}
- {kind: multi_stft, weight: 1.0, fft_sizes: [512, 1024, 2048]}
- {kind: si_sdr, weight: 0.05}
"""


@pytest.fixture
def waveforms():
    generator = torch.Generator().manual_seed(0)
    return tuple(0.1 * torch.randn(3, 2, 4000, generator=generator) for _ in range(2))


def test_the_total_is_the_weighted_sum_and_the_parts_are_unweighted(waveforms):
    total, parts = loss_from(yaml.safe_load(WRITTEN))(*waveforms, sample_rate=RATE)
    assert list(parts) == ["l1", "multi_stft", "si_sdr"]
    for name, part in parts.items():
        torch.testing.assert_close(part, getattr(losses, name)(*waveforms).mean())
        assert not part.requires_grad
    torch.testing.assert_close(total, parts["l1"] + parts["multi_stft"] + 0.05 * parts["si_sdr"])


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("bandwidth_hz", [None, [3000.0, 8000.0, 5000.0]])
def test_each_kind_is_its_function_with_the_same_defaults(kind, bandwidth_hz, waveforms):
    if bandwidth_hz is not None:
        bandwidth_hz = torch.tensor(bandwidth_hz)
    loss = loss_from({"kind": kind})
    expected = FUNCTIONS[kind](*waveforms, sample_rate=RATE, bandwidth_hz=bandwidth_hz)
    each = loss.each(*waveforms, sample_rate=RATE, bandwidth_hz=bandwidth_hz)
    torch.testing.assert_close(each, expected)
    torch.testing.assert_close(
        loss.per_example(*waveforms, sample_rate=RATE, bandwidth_hz=bandwidth_hz), expected.mean(1)
    )
    options = set(inspect.signature(FUNCTIONS[kind]).parameters) - {"estimate", "target", "sample_rate", "bandwidth_hz"}
    fields = set(type(loss.terms[0]).model_fields) - {"kind", "weight"}
    assert fields | ({"is_filtered"} if isinstance(loss.terms[0], SpectralTerm) else set()) == options


def test_gradients_flow_through_the_total(waveforms):
    estimate = waveforms[0].requires_grad_()
    loss_from(yaml.safe_load(WRITTEN))(estimate, waveforms[1], sample_rate=RATE)[0].backward()
    assert bool((estimate.grad != 0).all())


def test_the_example_that_gives_no_number_is_named(waveforms):
    estimate = waveforms[0].clone()
    estimate[1, 0, 17] = torch.nan
    bad = loss_from(yaml.safe_load(WRITTEN)).per_example(estimate, waveforms[1], sample_rate=RATE).isnan()
    assert bad.tolist() == [False, True, False]


def test_pairs_are_those_of_each_term(waveforms):
    loss = loss_from([{"kind": "si_sdr"}, {"kind": "multi_stft", "weight": 0.5}])
    bandwidth_hz = torch.tensor([3000.0, 8000.0, 5000.0])
    pairs = loss.pairwise(*waveforms, sample_rate=RATE, bandwidth_hz=bandwidth_hz)
    assert pairs.shape == (3, 2, 2)
    crossed = loss.each(waveforms[0].flip(1), waveforms[1], sample_rate=RATE, bandwidth_hz=bandwidth_hz)
    torch.testing.assert_close(torch.stack([pairs[:, 0, 1], pairs[:, 1, 0]], dim=1), crossed, rtol=1e-4, atol=1e-5)


def test_a_sum_is_a_loss_for_any_order(waveforms):
    loss = loss_from(yaml.safe_load(WRITTEN))
    value, order = losses.permutation_invariant(loss.each, waveforms[0], waveforms[0].flip(1), sample_rate=RATE)
    assert order.tolist() == [[1, 0]] * 3
    assert float(value.max()) < -3  # 0.05 of the SI-SDR of the same waveform


def test_a_term_without_weight_is_logged_alone(waveforms):
    total, parts = loss_from([{"kind": "l1"}, {"kind": "si_sdr", "weight": 0}])(*waveforms, sample_rate=RATE)
    assert float(total) == float(parts["l1"])
    assert "si_sdr" in parts


def test_a_kind_that_comes_again_has_a_name_of_its_own(waveforms):
    terms = [{"kind": "spectral_l1"}, {"kind": "l1"}, {"kind": "spectral_l1", "of": "magnitude"}]
    _, parts = loss_from(terms)(*waveforms, sample_rate=RATE)
    assert list(parts) == ["spectral_l1", "l1", "spectral_l1_2"]


@pytest.mark.parametrize(
    ("kinds", "level_blind", "has_spectral_term"),
    [
        (["si_sdr"], True, False),
        (["si_sdr", "l1"], False, False),
        (["si_sdr_with_level"], False, False),
        (["snr"], False, False),
        (["si_sdr", "multi_stft"], False, True),
    ],
)
def test_a_sum_tells_what_it_does_not_see(kinds, level_blind, has_spectral_term):
    assert loss_from([{"kind": kind} for kind in kinds]).rewards == (level_blind, has_spectral_term)


def test_terms_without_weight_see_nothing():
    assert loss_from([{"kind": "si_sdr"}, {"kind": "multi_stft", "weight": 0}]).rewards == (True, False)


@pytest.mark.parametrize("kind", sorted(RATIOS))
def test_a_ratio_to_silence_is_a_level_beside_the_mixtures(kind, waveforms):
    estimate, target = waveforms
    target[1, 0] = 0
    power = target.sum(dim=1).square().mean(dim=-1)
    loss = loss_from([{"kind": kind, "weight": 0.5}, {"kind": "l1", "weight": 2.0}])
    usual = loss.each(estimate, target, sample_rate=RATE)
    given = loss.each(estimate, target, sample_rate=RATE, mixture_power=power)
    expected = 0.5 * losses.silence(estimate[1, 0], power[1]) + 2.0 * losses.l1(estimate[1, 0], target[1, 0])
    torch.testing.assert_close(given[1, 0], expected)
    others = torch.ones(3, 2, dtype=bool).index_put((torch.tensor(1), torch.tensor(0)), torch.tensor(False))
    torch.testing.assert_close(given[others], usual[others])
    pairs = loss.each(estimate[:, None], target[:, :, None], sample_rate=RATE, mixture_power=power)
    torch.testing.assert_close(pairs[1, 0, 0], expected)


def test_silence_is_a_loss_of_what_is_heard(waveforms):
    """Noise above an example's bandwidth is none of it."""
    target = torch.zeros_like(waveforms[0])
    above = torch.sin(2 * torch.pi * 7000 / RATE * torch.arange(4000)).expand(3, 2, 4000)
    options = {"sample_rate": RATE, "mixture_power": torch.full((3,), 0.01)}
    loss = loss_from([{"kind": "snr"}])
    assert float(loss.each(above, target, **options).min()) > 10
    assert float(loss.each(above, target, bandwidth_hz=torch.full((3,), 4000.0), **options).max()) < -19


def test_a_source_too_few_is_told_and_not_broadcast(waveforms):
    estimate, target = waveforms
    for call in (loss_from({"kind": "l1"}), loss_from({"kind": "l1"}).per_example, loss_from({"kind": "l1"}).pairwise):
        with pytest.raises(ValueError, match=r"estimate \(3, 1, 4000\) and target \(3, 2, 4000\) must both be"):
            call(estimate[:, :1], target, sample_rate=RATE)


def test_a_loss_goes_to_other_processes(waveforms):
    loss = loss_from(yaml.safe_load(WRITTEN))
    again = pickle.loads(pickle.dumps(loss))
    assert torch.equal(again(*waveforms, sample_rate=RATE)[0], loss(*waveforms, sample_rate=RATE)[0])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([{"kind": "si_srd"}], "plan.yaml: loss.0.kind: no such kind 'si_srd' (did you mean 'si_sdr'?)"),
        ([{"kind": "qq"}], "loss.0.kind: no such kind 'qq' (there are l1, mse, snr, "),
        ([{"weight": 1}], "loss.0.kind: is missing"),
        (["l1"], "loss.0: input should be a valid dictionary"),
        ([{"kind": "multi_stft", "fft_size": [3]}], "loss.0.fft_size: no such setting (did you mean 'fft_s"),
        ([{"kind": "l1", "qqq": 1}], "loss.0.qqq: no such setting (there are kind, weight)"),
        ([{"kind": "l1"}, {"kind": "snr", "max_snr_db": "x"}], "loss.1.max_snr_db: input should be a valid number"),
        ([{"kind": "multi_stft", "fft_sizes": [512]}], "fft_sizes, hops and windows have [1, 3, 3] numbers; give as"),
        ([{"kind": "multi_stft", "windows": [600, 600, 1200]}], "hop 50, window 600, FFT 512; none may be larger than"),
        ([{"kind": "spectral_l1", "hop": 800}], "hop 800 skips samples of frames of 1024; make it 512 or less"),
        ([{"kind": "l1", "weight": -1}], "loss.0.weight: input should be greater than or equal to 0, got -1"),
        ([{"kind": "l1", "weight": float("nan")}], "loss.0.weight: input should be a finite number"),
        ([{"kind": "l1", "weight": 0}], "no term has a weight above 0, so there is nothing to learn"),
        ([], "no term has a weight above 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(written, message):
    with pytest.raises(ConfigError) as caught:
        loss_from(written, "plan.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_terms_are_no_loss():
    with pytest.raises(ValueError, match="no term has a weight above 0"):
        WeightedLoss(())

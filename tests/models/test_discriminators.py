"""Discriminators give a score for each place and every layer's features, and never grow steep."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.errors import ConfigError  # noqa: E402
from resound.models.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator  # noqa: E402

FAMILIES = {"scale": (MultiScaleDiscriminator, 2, 5), "period": (MultiPeriodDiscriminator, 5, 4)}


@pytest.fixture(params=FAMILIES)
def family(request):
    torch.manual_seed(0)
    kind, n_judges, n_layers = FAMILIES[request.param]
    return kind(width=0.125), n_judges, n_layers


@pytest.mark.parametrize("n_samples", [1, 10, 4801])
def test_each_judge_gives_scores_and_the_features_of_each_layer(family, n_samples):
    judges, n_judges, n_layers = family
    scores, features = judges(torch.randn(3, 1, n_samples))
    assert [one.ndim for one in scores] == [2] * n_judges
    assert {len(one) for one in scores} == {3}
    assert [len(one) for one in features] == [n_layers] * n_judges
    assert all(torch.isfinite(one).all() for one in scores)


def test_gradients_reach_every_weight_and_the_waveform(family):
    judges = family[0]
    x = torch.randn(2, 1, 4800, requires_grad=True)
    sum(one.square().mean() for one in judges(x)[0]).backward()
    assert x.grad is not None and bool((x.grad != 0).any())
    assert not [name for name, p in judges.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]


def test_no_layer_is_steeper_than_one(family):
    judges = family[0].train()
    for _ in range(15):  # power iterations
        judges(torch.randn(1, 1, 500))
    layers = [layer for layer in judges.modules() if isinstance(layer, torch.nn.Conv1d | torch.nn.Conv2d)]
    norms = torch.stack([torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2) for layer in layers])
    torch.testing.assert_close(norms, torch.ones(len(layers)), atol=0.1, rtol=0)


@pytest.mark.parametrize("kind", [MultiScaleDiscriminator, MultiPeriodDiscriminator])
def test_with_the_norm_of_weights_a_discriminator_may_grow_steep(kind):
    torch.manual_seed(0)
    x = torch.randn(2, 1, 800)
    scores = {}
    for norm in ("spectral", "weight"):
        judges = kind(width=0.125, norm=norm).train()
        with torch.no_grad():
            for parameter in judges.parameters():
                parameter.mul_(3)
        scores[norm] = [float(one.std()) for one in judges(x)[0]]
    assert all(grown > 10 * held for grown, held in zip(scores["weight"], scores["spectral"], strict=True))


def test_a_period_compares_only_samples_that_are_a_period_apart():
    judges = MultiPeriodDiscriminator([5], width=0.125).eval()
    x = torch.randn(1, 1, 5000, requires_grad=True)
    judges(x)[1][0][-1][0, :, 30, 2].sum().backward()
    heard = torch.nonzero(x.grad[0, 0]).flatten() % 5
    assert set(heard.tolist()) == {2}


def test_a_tone_is_told_from_noise_after_some_steps(family):
    judges = family[0].train()
    optimiser = torch.optim.AdamW(judges.parameters(), lr=2e-3, betas=(0.8, 0.99))
    tone = torch.sin(0.05 * torch.arange(1600)).repeat(4, 1, 1)
    for step in range(20):
        noise = 0.7 * torch.randn(4, 1, 1600, generator=torch.Generator().manual_seed(step))
        real, made = judges(tone)[0], judges(noise)[0]
        loss = sum((1 - one).square().mean() for one in real) + sum(one.square().mean() for one in made)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(one.mean() > other.mean() for one, other in zip(real, made, strict=True))


def test_two_channels_are_judged_together():
    scores, _ = MultiScaleDiscriminator(2, n_channels=2, width=0.125)(torch.randn(1, 2, 800))
    assert len(scores) == 2


def test_impossible_numbers_are_told():
    with pytest.raises(ConfigError, match="n_scales must be at least 1, got 0"):
        MultiScaleDiscriminator(0)
    with pytest.raises(ConfigError, match="periods must be whole numbers of at least 1, got \\[2, 0\\]"):
        MultiPeriodDiscriminator([2, 0])

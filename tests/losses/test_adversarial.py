"""Generators and discriminators want opposite things, and get them from what the discriminators give."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.losses import discriminator_loss, feature_matching, generator_loss  # noqa: E402
from resound.models.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator  # noqa: E402


def scores(*values):
    """One discriminator each, two examples, three places."""
    return [torch.full((2, 3), float(value)) for value in values]


@pytest.mark.parametrize(
    ("kind", "real", "fake", "expected"),
    [
        ("ls", 1, 0, 0.0),
        ("ls", 0, 1, 2.0),
        ("ls", 0.5, 0.5, 0.5),
        ("hinge", 1, -1, 0.0),
        ("hinge", 5, -5, 0.0),
        ("hinge", 0, 0, 2.0),
        ("hinge", -1, 1, 4.0),
    ],
)
def test_a_discriminator_is_right_about_both(kind, real, fake, expected):
    torch.testing.assert_close(discriminator_loss(scores(real), scores(fake), kind), torch.full((2,), expected))
    twice = discriminator_loss(scores(real, real), scores(fake, fake), kind)
    torch.testing.assert_close(twice, torch.full((2,), 2 * expected))


@pytest.mark.parametrize(("kind", "fake", "expected"), [("ls", 1, 0.0), ("ls", 0, 1.0), ("hinge", 2, -2.0)])
def test_a_generator_passes_for_a_recording(kind, fake, expected):
    torch.testing.assert_close(generator_loss(scores(fake), kind), torch.full((2,), expected))


def test_each_example_is_judged_by_itself():
    fake = [torch.tensor([[0.0, 2.0], [1.0, 1.0]])]
    assert generator_loss(fake, "ls").tolist() == [1.0, 0.0]


@pytest.mark.parametrize("family", [MultiScaleDiscriminator, MultiPeriodDiscriminator])
def test_real_discriminators_fit(family):
    torch.manual_seed(0)
    judges = family(width=0.125)
    real, fake = torch.randn(3, 1, 500), torch.randn(3, 1, 500, requires_grad=True)
    (real_scores, real_features), (fake_scores, fake_features) = judges(real), judges(fake)
    total = feature_matching(real_features, fake_features) + generator_loss(fake_scores)
    assert total.shape == (3,)
    assert bool((feature_matching(real_features, real_features) == 0).all())
    total.sum().backward()
    assert bool((fake.grad != 0).any())
    assert discriminator_loss(real_scores, fake_scores, "hinge").shape == (3,)


def test_features_of_recordings_are_left_as_they_are():
    real, fake = torch.ones(2, 4, 5, requires_grad=True), torch.zeros(2, 4, 5, requires_grad=True)
    loss = feature_matching([[real, real]], [[fake, fake]])
    assert loss.tolist() == [2.0, 2.0]
    loss.sum().backward()
    assert real.grad is None
    assert fake.grad is not None


def test_steps_of_both_lower_their_own_loss():
    torch.manual_seed(0)
    judges = MultiScaleDiscriminator(1, width=0.125)
    real, fake = torch.randn(4, 1, 500).sign(), torch.randn(4, 1, 500)
    optimizer = torch.optim.Adam(judges.parameters(), 1e-3)
    history = []
    for _ in range(20):
        loss = discriminator_loss(judges(real)[0], judges(fake)[0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.8 * history[0]

"""Norms: their definition, their gradients, what they see."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.kernels.normalise import normalise  # noqa: E402

KINDS = ["global", "cumulative", "channel"]


def hiss(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_norm_is_what_its_definition_says(kind):
    a, gain, bias = hiss(2, 9, 5) + 0.2, hiss(5, seed=1), hiss(5, seed=2)
    p = torch.where(a > 0, a, 0.3 * a)
    expected = torch.empty_like(p)
    for t in range(9):
        seen = {"global": p, "cumulative": p[:, : t + 1], "channel": p[:, t : t + 1]}[kind]
        mean, variance = seen.mean(dim=(1, 2)), seen.var(dim=(1, 2), unbiased=False)
        expected[:, t] = (p[:, t] - mean[:, None]) / (variance[:, None] + 1e-8).sqrt() * gain + bias
    slope = torch.tensor([0.3])
    torch.testing.assert_close(normalise(a, slope, gain, bias, kind), expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(normalise(a.clone(), slope, gain, bias, kind), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slope", [0.3, -0.2, None])
def test_the_gradient_of_a_norm_is_its_slope(kind, slope):
    wide = {"dtype": torch.float64, "requires_grad": True}
    torch.manual_seed(0)
    a, gain, bias = torch.randn(2, 6, 4, **wide), torch.randn(4, **wide), torch.randn(4, **wide)
    if slope is None:
        assert torch.autograd.gradcheck(lambda x: normalise(x, None, None, None, kind), (a,))
    else:
        inputs = (a, torch.tensor([slope], **wide), gain, bias)
        assert torch.autograd.gradcheck(lambda *x: normalise(*x, kind), inputs)


@pytest.mark.parametrize(("norm", "changes"), [("global", True), ("cumulative", False), ("channel", False)])
def test_the_global_norm_sees_the_future_and_the_others_do_not(norm, changes):
    a = hiss(1, 50, 6)
    other = a.clone()
    other[:, 30:] *= 5
    slope = torch.tensor([0.25])
    with torch.no_grad():
        past, with_other_future = (normalise(x.clone(), slope, None, None, norm)[:, :30] for x in (a, other))
    assert torch.equal(past, with_other_future) != changes

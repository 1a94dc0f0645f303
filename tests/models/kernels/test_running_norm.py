"""Norms of a stream: those of the whole, whatever the steps, and no frame counts that is before the first sample."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.kernels.normalise import normalise  # noqa: E402
from resound.models.kernels.running_norm import Clock, no_sums, normalise_on, prelu_on  # noqa: E402


@pytest.mark.parametrize("kind", ["cumulative", "channel"])
@pytest.mark.parametrize("with_gradients", [False, True])
def test_a_stream_has_the_norms_of_the_whole(kind, with_gradients):
    generator = torch.Generator().manual_seed(0)
    a, gain, bias = (torch.randn(*shape, generator=generator) for shape in ((2, 40, 5), (5,), (5,)))
    slope, n_early = torch.tensor([0.3]), 3
    with torch.set_grad_enabled(with_gradients):
        expected = normalise(a.clone(), slope, gain, bias, kind)
        stream = torch.cat([torch.randn(2, n_early, 5, generator=generator), a], dim=1)
        parts, sums, n_before = [], no_sums(a, 2), torch.tensor(-n_early)
        for part in stream.split([5, 1, 1, 20, 16], dim=1):
            clock = Clock(n_before, part.shape[1])
            out, sums = normalise_on(prelu_on(part.clone(), slope, clock), gain, bias, kind, sums, clock)
            parts.append(out)
            n_before = clock.end
    torch.testing.assert_close(torch.cat(parts, dim=1)[:, n_early:], expected, atol=1e-6, rtol=1e-5)


def test_the_cumulative_norm_holds_over_ten_minutes():
    # The sums of a stream are carried from step to step; in float32 they would stop growing as they should.
    n_frames, n_steps = 600_000, 300
    a, size = 0.1 * torch.randn(1, n_frames, 4, generator=torch.Generator().manual_seed(0)) + 0.5, n_frames // n_steps
    gain, bias = torch.ones(4), torch.zeros(4)
    sums = no_sums(a, 1)
    with torch.no_grad():
        last = normalise(a, None, None, None, "cumulative")[0, -1]
        for index, part in enumerate(a.split(size, dim=1)):
            clock = Clock(torch.tensor(index * size), size)
            streamed, sums = normalise_on(part, gain, bias, "cumulative", sums, clock)
    wide = a.double()
    expected = (wide[0, -1] - wide.mean()) / wide.var(unbiased=False).sqrt()
    torch.testing.assert_close(last.double(), expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(streamed[0, -1].double(), expected, atol=1e-6, rtol=1e-6)

"""The GRU of ours is torch's, in its output and in every gradient."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.kernels.gru import _Layer, gru  # noqa: E402


@pytest.mark.parametrize(("n_layers", "batch_size", "n_frames"), [(1, 1, 1), (2, 3, 7), (3, 2, 20)])
def test_output_and_gradients_are_torchs(n_layers, batch_size, n_frames):
    torch.manual_seed(0)
    layers = torch.nn.GRU(5, 4, n_layers, batch_first=True)
    found = []
    for run in (lambda *given: gru(layers, *given), layers):
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(batch_size, n_frames, 5, generator=generator, requires_grad=True)
        state = torch.randn(n_layers, batch_size, 4, generator=generator, requires_grad=True)
        layers.zero_grad()
        out, end = run(x, state)
        (out.sin().sum() + end.square().sum()).backward()
        found.append([out, end, x.grad, state.grad, *(weight.grad.clone() for weight in layers.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_gradients_are_those_of_small_differences():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 3), (2, 2), (6, 3), (6, 2), (6,), (6,)]
    given = [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(_Layer.apply, given)


def test_without_gradients_it_is_torch_itself():
    layers = torch.nn.GRU(5, 4, batch_first=True)
    with torch.no_grad():
        x, state = torch.randn(1, 3, 5), torch.zeros(1, 1, 4)
        assert torch.equal(gru(layers, x, state)[0], layers(x, state)[0])

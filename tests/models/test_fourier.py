"""The Fourier transform by two products is the Fourier transform."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.kernels.fourier import irfft, rfft  # noqa: E402

SIZES = [1, 2, 7, 30, 64, 441, 960, 2048]


@pytest.mark.parametrize("n_samples", SIZES)
def test_forward(n_samples):
    frames = torch.randn(2, 3, n_samples, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rfft(frames), torch.view_as_real(torch.fft.rfft(frames)), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("n_samples", SIZES)
def test_backward(n_samples):
    spectrum = torch.randn(2, 3, n_samples // 2 + 1, 2, generator=torch.Generator().manual_seed(1))
    spectrum[..., 0, 1] = 0  # what no real frame has
    if n_samples % 2 == 0:
        spectrum[..., -1, 1] = 0
    expected = torch.fft.irfft(torch.view_as_complex(spectrum), n_samples)
    torch.testing.assert_close(irfft(spectrum, n_samples), expected, atol=1e-5, rtol=1e-5)
